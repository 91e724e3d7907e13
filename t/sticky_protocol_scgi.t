#!/usr/bin/perl

# Tests for a perl application behind SCGI; without them its sessions are lost.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Peers qw/ needs held_by_all upstreams locations /;
use Sticky::PeersShops qw/ scgi_shop /;

needs('SCGI.pm');

my $t = Test::Nginx->new()->has(qw/ http scgi /)->plan(4);

my $upstreams = upstreams(join "\n        ", map { "server 127.0.0.1:$_;" } 8081 .. 8083);
my $parameters = join '', map { "\n            scgi_param $_;" }
    'SCGI 1', 'QUERY_STRING $query_string', 'REQUEST_METHOD $request_method',
    'CONTENT_TYPE $content_type', 'DOCUMENT_URI $document_uri', 'REQUEST_URI $request_uri';
my $locations = locations("scgi_pass UPSTREAM;$parameters");

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

$upstreams
    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

$locations
    }
}

EOC

my @ports = map { port($_) } 8081 .. 8083;
scgi_shop($t, @ports);
$t->run();
$t->waitforsocket("127.0.0.1:$_") for @ports;

held_by_all('scgi');
