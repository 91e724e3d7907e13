#!/usr/bin/perl

# Tests for the counting of connections: steered requests count for max_conns and least_conn, and
# stop to count when they end; without that, a server gets more than it can bear, or nothing ever
# again.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Servers;

my %upstreams = (
    limited => [''],
    limited_zone => ['zone limited_zone 64k;'],
    limited_keepalive => ['keepalive 4;'],
    limited_least => ['zone limited_least 64k; least_conn; keepalive 4;'],
);

my $t = Test::Nginx->new()->has(qw/
    http proxy rewrite upstream_keepalive upstream_least_conn upstream_zone
/)->plan(9 * keys(%upstreams) + 15);

my $upstreams = join '', map { <<"EOC" } sort keys %upstreams;
    upstream $_ {
        @{ $upstreams{$_} }
        sticky hash=index;
        server 127.0.0.1:8081 max_conns=1;
        server 127.0.0.1:8082;
    }
EOC

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;
worker_processes 1;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

$upstreams

    upstream strict {
        sticky hash=index no_fallback;
        server 127.0.0.1:8081 max_conns=1;
        server 127.0.0.1:8082;
    }

    upstream least {
        least_conn;
        sticky hash=index;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream backup {
        sticky hash=index;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082 max_conns=1 backup;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location ~ ^/(?<upstream>\\w+)(?<rest>/.*)\$ {
            proxy_pass http://\$upstream\$rest;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            add_header X-Status \$sticky_status always;
        }
    }
}

EOC

my ($first, $second) = (port(8081), port(8082));
$t->run_daemon(\&server, $_, $_) for $first, $second;
$t->run();
$t->waitforsocket("127.0.0.1:$_") for $first, $second;

for my $upstream (sort keys %upstreams) {

    # A steered request counts: the server is full.

    my $held = hold($upstream, $first, 'Cookie: route=0');
    is_deeply([map { served_by(get("/$upstream/")) } 1 .. 6], [($second) x 6],
        "$upstream: full because of a steered request");

    is(visit("/$upstream/", 'Cookie: route=0'), "$second FULL",
        "$upstream: a session of the full server is served elsewhere");

    is(finish($held, $first), $first, "$upstream: the request was where its session is");

    # When it has ended, the server is free again, whichever way it is chosen.

    for my $round (1, 2) {
        is(visit("/$upstream/", 'Cookie: route=0'), "$first HIT",
            "$upstream: free again for its sessions, round $round");
        ok((grep { served_by(get("/$upstream/")) eq $first } 1 .. 6),
            "$upstream: free again for others, round $round");
    }

    # A client that goes away ends its request, too.

    $held = hold($upstream, $first, 'Cookie: route=0');
    close $held;
    eventually(sub { ask($first, 'held') == 0 });
    is(visit("/$upstream/", 'Cookie: route=0'), "$first HIT",
        "$upstream: free again after a client has gone away");

    # A request that was balanced counts for sessions.

    my @balanced = map { get("/$upstream/hold$_", { start => 1 }) } 1, 2;
    eventually(sub { ask($first, 'held') == 1 && ask($second, 'held') == 1 });
    is(visit("/$upstream/", 'Cookie: route=0'), "$second FULL",
        "$upstream: full because of a request without a session");
    ask($_, 'release') for $first, $second;
    http_end_of($_) for @balanced;
}

# no_fallback: a full server is one that cannot be used

my $held = hold('strict', $first, 'Cookie: route=0');
like(get('/strict/', 'Cookie: route=0'), qr/^HTTP\S+ 502 /, 'strict: full');
is(visit("/strict/"), "$second NEW", 'strict: full, no session');
finish($held, $first);
is(visit("/strict/", 'Cookie: route=0'), "$first HIT", 'strict: free again after a refusal');

# least_conn sees steered requests

for my $number (0, 1) {
    my ($busy, $idle) = $number ? ($second, $first) : ($first, $second);
    my @held = map { hold('least', $busy, "Cookie: route=$number", $_) } 1, 2;
    is_deeply([map { served_by(get('/least/')) } 1 .. 4], [($idle) x 4],
        'least_conn: avoids the server with steered requests');
    my @more = hold('least', $idle);
    is_deeply([map { served_by(get('/least/')) } 1 .. 4], [($idle) x 4],
        'least_conn: counts one by one');
    is(visit("/least/", "Cookie: route=$number"), "$busy HIT", 'least_conn: sessions stay');
    ask($_, 'release') for $first, $second;
    http_end_of($_) for @held, @more;
}
my %seen;
$seen{served_by(get('/least/'))}++ for 1 .. 6;
is_deeply(\%seen, { $first => 3, $second => 3 }, 'least_conn: all counters are back');

# a server that is a backup

$held = hold('backup', $second, 'Cookie: route=1');
is(visit("/backup/", 'Cookie: route=1'), "$first FULL", 'backup: full');
is(finish($held, $second), $second, 'backup: steered to');
for my $round (1 .. 3) {
    is(visit("/backup/", 'Cookie: route=1'), "$second HIT", "backup: free again, round $round");
}

# Starts a request that does not end yet, and waits until it is at the server on $port.
sub hold {
    my ($upstream, $port, $cookie, $number) = @_;
    $number //= 1;
    my $socket = get("/$upstream/hold", $cookie // (), { start => 1 });
    eventually(sub { ask($port, 'held') == $number });
    return $socket;
}

# Lets the requests held by the server on $port go on; the server that has answered.
sub finish {
    my ($socket, $port) = @_;
    ask($port, 'release');
    return served_by(http_end_of($socket));
}

sub http_end_of {
    my ($socket) = @_;
    local $/;
    return <$socket>;
}
