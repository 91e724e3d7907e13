#!/usr/bin/perl

# Tests for clients that speak HTTP/2, over TLS and without; without them a cookie that comes in
# crumbs (RFC 9113, section 8.2.3), or one of many requests on a connection, loses its server.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Peers qw/ needs curl certificate held_by_all upstreams locations /;
use Sticky::PeersShops qw/ http_shop /;

use Digest::MD5 qw/ md5_hex /;

needs('curl with HTTP/2', 'openssl');

my $t = Test::Nginx->new()->has(qw/ http http_ssl http_v2 proxy /)->plan(14);

# nginx has said so in a directive of its own since 1.25.1.
my ($listen, $http_2) = $t->has_version('1.25.1') ? ('', 'http2 on;') : (' http2', '');

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

    log_format  clients  '\$connection \$server_protocol \$sticky_status \$arg_at';
    access_log  %%TESTDIR%%/clients.log clients;

$upstreams
    server {
        listen       127.0.0.1:8080$listen;
        listen       127.0.0.1:8443 ssl$listen;
        server_name  localhost;
        $http_2

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

my $plain = 'http://127.0.0.1:' . port(8080);
my $tls = 'https://127.0.0.1:' . port(8443);

# curl as the client of a walk.
sub by {
    my ($version, $origin) = @_;
    return sub {
        my ($method, $uri, $headers, $body) = @_;
        return curl('--insecure', "--$version", '--include', (map { ('--header', $_) } @$headers),
            defined $body ? ('--data', $body) : (), "$origin$uri");
    };
}

for (['http2-prior-knowledge', $plain], ['http2', $tls]) {
    my ($version, $origin) = @$_;
    my $what = $origin =~ /https/ ? 'HTTP/2 over TLS' : 'HTTP/2';
    held_by_all($what, by($version, $origin));
}

# Crumbs: a cookie for each line.

my $fetch = by('http2', $tls);
my %cookies = map { $_ => 'Cookie: route=' . md5_hex("127.0.0.1:$_") } @ports;
for my $crumbs (['Cookie: a=1', undef], [undef, 'Cookie: a=1'], ['Cookie: a=1', undef, 'Cookie: b=2']) {
    my @seen = map {
        my $port = $_;
        my $reply = $fetch->('GET', '/cookie/next', [map { $_ // $cookies{$port} } @$crumbs]);
        join ' ', served_by($reply), status($reply);
    } @ports;
    is_deeply(\@seen, [map { "$_ HIT" } @ports],
        'crumbs: ' . join ', ', map { $_ ? /(\w)=/ : 'route' } @$crumbs);
}

# Many requests at once on one connection, each of another session.

my %sids;
for (1 .. 12) {
    my $reply = $fetch->('GET', '/query/first', []);
    my ($sid) = $reply =~ /sid=(\w+)"/;
    $sids{$sid} = served_by($reply);
}
my $replies = curl('--insecure', '--http2', '--include', '--parallel', '--parallel-max', 12,
    map { "$tls/query/next?sid=$_&at=once" } sort keys %sids);
my %seen = map { $_ => 1 } $replies =~ /^x-server: (\d+)\x0d$/mgi;
my %wrong = map { $_ => 1 } grep { $replies !~ /href="next\?sid=$_"/ } keys %sids;
is_deeply([\%seen, \%wrong, scalar(() = $replies =~ /^x-count: 2\x0d$/mgi)],
    [{ map { $_ => 1 } @ports }, {}, 12], 'twelve sessions at once');

$t->stop();
my @lines = grep { / once$/ } split /\n/, $t->read_file('clients.log');
my %connections = map { (split)[0] => 1 } @lines;
is_deeply([scalar(@lines), scalar(keys %connections), scalar(grep { /HTTP\/2\.0 HIT / } @lines)],
    [12, 1, 12], 'on one connection');

# A redirect in HTTP/2 has its id, too; held_by_all() has followed some.

like($t->read_file('clients.log'), qr/HTTP\/2\.0 NEW/, 'learned from answers over HTTP/2');
