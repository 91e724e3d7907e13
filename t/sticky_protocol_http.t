#!/usr/bin/perl

# Tests for sessions at servers that speak HTTP/1.0, 1.1 and, from nginx 1.29.4 on, 2; without them
# an id is missed in some form of body, or a kept connection goes to the wrong server.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Peers qw/ held_by_all upstreams locations /;
use Sticky::PeersShops qw/ http_shop /;

my $t = Test::Nginx->new()->has(qw/ http proxy upstream_keepalive /);
my $http_2 = $t->has_version('1.29.4') && $t->has_module('http_v2');
$t->plan($http_2 ? 21 : 16);

my $servers = join "\n        ", map { "server 127.0.0.1:$_;" } 8081 .. 8083;
my ($plain, $kept) = (upstreams($servers), upstreams($servers, 'keepalive 8;'));
$kept =~ s/upstream (\w+)/upstream kept_$1/g;

# The shop does not speak HTTP/2: a server of nginx before each of them does.
my ($over_2, $fronts) = ('', '');
if ($http_2) {
    $over_2 = upstreams(join "\n        ", map { "server 127.0.0.1:$_;" } 8091 .. 8093);
    $over_2 =~ s/upstream (\w+)/upstream over_2_$1/g;
    $fronts = join '', map { <<"EOC" } 8091 .. 8093;
    server {
        listen  127.0.0.1:$_;
        http2   on;

        location / {
            proxy_pass http://127.0.0.1:@{[ $_ - 10 ]};
            add_header X-Front $_-\$server_protocol always;
        }
    }
EOC
}

# The clients' connections tell the versions apart: 8080 asks with 1.0, and so on.
my %asked = (
    8080 => locations("proxy_pass http://UPSTREAM;\n            proxy_http_version 1.0;"),
    8084 => locations("proxy_pass http://UPSTREAM;\n            proxy_http_version 1.1;"),
    8085 => locations("proxy_pass http://kept_UPSTREAM;\n            proxy_http_version 1.1;\n"
        . '            proxy_set_header Connection "";'),
    $http_2
        ? (8086 => locations("proxy_pass http://over_2_UPSTREAM;\n            proxy_http_version 2;"))
        : (),
);
my $listeners = join '', map { <<"EOC" } sort keys %asked;
    server {
        listen       127.0.0.1:$_;
        server_name  localhost;
$asked{$_}
    }
EOC

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

$plain
$kept
$over_2
$fronts
$listeners
}

EOC

my @ports = map { port($_) } 8081 .. 8083;
http_shop($t, @ports);
$t->run();
$t->waitforsocket("127.0.0.1:$_") for @ports;

sub from {
    my ($port) = @_;
    return sub {
        my ($method, $uri, $headers, $body) = @_;
        my @lines = @$headers;
        push @lines, 'Content-Type: application/x-www-form-urlencoded',
            'Content-Length: ' . length $body if defined $body;
        return send_request($method, $uri, @lines, {
            version => '1.0', body => $body, PeerAddr => '127.0.0.1:' . port($port),
        });
    };
}

held_by_all('1.0', from(8080));
held_by_all('1.1', from(8084));
held_by_all('1.1 with keepalive', from(8085));

is(header('X-Version', from($_->[0])->('GET', '/query/', [])), $_->[1], "asked with $_->[1]")
    for [8080, '1.0'], [8084, '1.1'], [8085, '1.1'];
cmp_ok(header('X-Requests', from(8085)->('GET', '/query/', [])), '>', 1, 'connections are kept');

if ($http_2) {
    held_by_all('2', from(8086));
    like(header('X-Front', from(8086)->('GET', '/query/', [])), qr/-HTTP\/2\.0$/, 'asked with 2');
}
