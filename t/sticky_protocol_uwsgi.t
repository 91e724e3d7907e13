#!/usr/bin/perl

# Tests for a python application behind uwsgi; without them its sessions are lost.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Peers qw/ needs held_by_all upstreams locations /;
use Sticky::PeersShops qw/ uwsgi_shop /;

needs('uwsgi');

my $t = Test::Nginx->new()->has(qw/ http uwsgi /)->plan(4);

my $upstreams = upstreams(join "\n        ", map { "server 127.0.0.1:$_;" } 8081 .. 8083);
my $parameters = join '', map { "\n            uwsgi_param $_;" }
    'QUERY_STRING $query_string', 'REQUEST_METHOD $request_method', 'CONTENT_TYPE $content_type',
    'CONTENT_LENGTH $content_length', 'REQUEST_URI $request_uri', 'PATH_INFO $document_uri',
    'SERVER_PROTOCOL $server_protocol', 'SERVER_NAME $server_name', 'SERVER_PORT $server_port';
my $locations = locations("uwsgi_pass UPSTREAM;$parameters");

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
uwsgi_shop($t, @ports);
$t->run();
$t->waitforsocket("127.0.0.1:$_") for @ports;

held_by_all('uwsgi');
