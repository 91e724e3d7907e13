#!/usr/bin/perl

# Tests for PHP behind fastcgi, with the sessions of PHP itself, whose id PHP writes into every link
# and form of its pages (session.use_trans_sid); without them a PHP session is lost.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Peers qw/ needs held_by_all upstreams locations /;
use Sticky::PeersShops qw/ php_shops /;

needs('php-fpm');

my $t = Test::Nginx->new()->has(qw/ http fastcgi /)->plan(4);

# Two servers on sockets in the file system, as PHP is mostly run, and one over the network.
my $dir = $t->testdir();
my $upstreams = upstreams("server unix:$dir/a.sock;\n        server unix:$dir/b.sock;\n"
    . '        server 127.0.0.1:8081;');

my $parameters = join '', map { "\n            fastcgi_param $_;" }
    'QUERY_STRING $query_string', 'REQUEST_METHOD $request_method', 'CONTENT_TYPE $content_type',
    'CONTENT_LENGTH $content_length', 'DOCUMENT_URI $document_uri', 'REQUEST_URI $request_uri',
    "SCRIPT_FILENAME $dir/shop.php";
my $locations = locations("fastcgi_pass UPSTREAM;$parameters");

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

php_shops($t, a => "$dir/a.sock", b => "$dir/b.sock", c => '127.0.0.1:' . port(8081));
$t->run();
$t->waitforsocket('127.0.0.1:' . port(8081));

held_by_all('fastcgi');
