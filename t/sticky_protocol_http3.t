#!/usr/bin/perl

# Tests for clients that speak HTTP/3; without them sessions over QUIC are unproven.
#
# Debian 12 has no client for it; the one of nginx's own test suite is taken, so this needs
# TEST_NGINX_LIB and Debian's libcryptx-perl, and an nginx --with-http_v3_module.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Peers qw/ needs certificate held_by_all upstreams locations /;
use Sticky::PeersShops qw/ http_shop /;

needs('openssl');

my $t = Test::Nginx->new()->has(qw/ http http_v3 proxy cryptx /);
plan(skip_all => "no client for HTTP/3, set TEST_NGINX_LIB to the lib of nginx's test suite")
    unless eval { require Test::Nginx::HTTP3; 1 };
$t->plan(6);

my $upstreams = upstreams(join "\n        ", map { "server 127.0.0.1:$_;" } 8081 .. 8083);
my $locations = locations('proxy_pass http://UPSTREAM;');

certificate($t, 'localhost');

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    log_format  clients  '\$server_protocol \$sticky_status';
    access_log  %%TESTDIR%%/clients.log clients;

$upstreams
    server {
        listen       127.0.0.1:%%PORT_8980_UDP%% quic reuseport;
        server_name  localhost;

        ssl_certificate      localhost.crt;
        ssl_certificate_key  localhost.key;

$locations
    }
}

EOC

my @ports = map { port($_) } 8081 .. 8083;
http_shop($t, @ports);
$t->run();
$t->waitforsocket("127.0.0.1:$_") for @ports;

# All requests on one connection, as a browser does.

# A client that has lost the thread waits for ever.
alarm 300;
my $client = Test::Nginx::HTTP3->new();

sub fetch {
    my ($method, $uri, $lines, $body) = @_;
    my @headers = (
        [':method', $method], [':scheme', 'https'], [':path', $uri], [':authority', 'localhost'],
        (map { [lc $1, $2] if /^(\S+): (.*)/ } @$lines),
    );
    push @headers, ['content-type', 'application/x-www-form-urlencoded'],
        ['content-length', length $body] if defined $body;
    my $stream = $client->new_stream({
        headers => [map { { name => $_->[0], value => $_->[1], mode => 2 } } @headers],
        body => $body,
    });
    my $frames = $client->read(all => [{ sid => $stream, fin => 1 }]);

    my ($head, $page) = ('', '');
    for my $frame (grep { ($_->{sid} // -1) == $stream } @$frames) {
        $page .= $frame->{data} if $frame->{type} eq 'DATA';
        next unless $frame->{type} eq 'HEADERS';
        for my $name (sort keys %{ $frame->{headers} }) {
            my $value = $frame->{headers}{$name};
            $head .= "$name: $_\x0d\x0a" for ref $value ? @$value : $value;
        }
    }
    return "$head\x0d\x0a$page";
}

held_by_all('HTTP/3', \&fetch);
alarm 0;

$t->stop();

my $log = $t->read_file('clients.log');
like($log, qr/^HTTP\/3\.0 NEW$/m, 'learned from answers over HTTP/3');
unlike($log, qr/HTTP\/[12]/, 'all requests were over HTTP/3');
