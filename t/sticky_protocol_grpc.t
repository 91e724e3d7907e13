#!/usr/bin/perl

# Tests for gRPC with a real server and client: the cookie is metadata there, and a call is one
# stream of many on a connection; without them a client's calls go to any server.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Peers qw/ needs /;
use Sticky::PeersGrpc qw/ grpc_server grpc_calls /;

use Digest::MD5 qw/ md5_hex /;

needs('grpc for python');

my $t = Test::Nginx->new()->has(qw/ http http_v2 grpc rewrite upstream_keepalive /)->plan(11);

# The listener says that it speaks HTTP/2; nginx has said so elsewhere since 1.25.1.
my ($listen, $http_2) = $t->has_version('1.25.1') ? ('', 'http2 on;') : (' http2', '');

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    upstream sticky {
        sticky;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream kept {
        sticky;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
        keepalive 4;
    }

    upstream broken {
        sticky;
        server 127.0.0.1:8084;
        server 127.0.0.1:8081;
    }

    upstream route {
        sticky route \$http_x_route;
        server 127.0.0.1:8081 route=a;
        server 127.0.0.1:8082 route=b;
        server 127.0.0.1:8083 route=c;
    }

    server {
        listen       127.0.0.1:8080$listen;
        server_name  localhost;
        $http_2

        location / {
            grpc_pass grpc://\$http_x_upstream;
            add_header X-Status \$sticky_status always;
        }
    }
}

EOC

my @ports = map { port($_) } 8081 .. 8083;
my $nginx = port(8080);
grpc_server($t, @ports);
$t->run();
$t->waitforsocket("127.0.0.1:$_") for @ports;

my %cookies = map { $_ => 'route=' . md5_hex("127.0.0.1:$_") } @ports;

# Calls without a cookie: balanced, and each is told its server.

my @calls = grpc_calls($t, $nginx, 'sticky', ('Say') x 12);
my %given = map { (split m!/!, $_->[0])[0] => $_->[1] } @calls;
is_deeply(\%given, { map { $_ => "$cookies{$_}; Path=/" } @ports }, 'cookie of each server');
is(scalar(grep { $_->[2] =~ /^(?:NEW|NONE)$/ } @calls), 12, 'status without a cookie');

# With it, in every shape of call.

my %shapes = (Say => [qw/ a /], Listen => [qw/ b b b /], Talk => [qw/ c d /]);

sub expected {
    my ($port, $shape) = @_;
    return join(' ', map { "$port/$_" } @{ $shapes{$shape} }) . ' HIT';
}

for my $upstream (qw/ sticky kept /) {
    for my $order ('', 'together') {
        my (@words, @expected);
        for my $shape (sort keys %shapes) {
            for my $port (@ports, @ports) {
                push @words, "$shape=$cookies{$port}";
                push @expected, expected($port, $shape);
            }
        }
        my @seen = map { "$_->[0] $_->[2]" }
            grpc_calls($t, $nginx, $upstream, $order ? $order : (), @words);
        is_deeply(\@seen, \@expected,
            "$upstream: every shape of call holds" . ($order ? ', on one connection' : ''));
    }
}

# By metadata of its own, for which a client needs no cookies.

my @routes = qw/ a c b b a c /;
my %servers = (a => $ports[0], b => $ports[1], c => $ports[2]);
for my $shape (qw/ Say Talk /) {
    my @seen = map { $_->[0] } grpc_calls($t, $nginx, 'route', 'together', map { "$shape\@$_" } @routes);
    my @expected = map { my $port = $servers{$_}; join ' ', map { "$port/$_" } @{ $shapes{$shape} } }
        @routes;
    is_deeply(\@seen, \@expected, "route: $shape holds");
}

# An error of gRPC is an answer: it is in the trailers, and no reason to ask another server.

@calls = grpc_calls($t, $nginx, 'sticky', map { "Fail=$cookies{$_}" } @ports);
is_deeply([map { $_->[0] } @calls], [map { "UNAVAILABLE $_" } @ports],
    'error of the server itself');

# A server that is not there.

my $gone = 'route=' . md5_hex('127.0.0.1:' . port(8084));
@calls = grpc_calls($t, $nginx, 'broken', ("Say=$gone") x 2);
is_deeply([map { "$_->[0] $_->[2]" } @calls], [("$ports[0]/a GONE") x 2], 'server is gone');
like($calls[0][1], qr/^$cookies{$ports[0]}; /, 'another cookie');
