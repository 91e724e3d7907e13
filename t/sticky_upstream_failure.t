#!/usr/bin/perl

# Tests for servers that fail and come back; without these, a session is lost for good with its
# server's first hiccup, sticks to a dead server, or a request asks the same dead server twice.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Servers;

my @kinds = (
    [plain => ''],
    [zone => 'zone zone 64k;'],
    [least => 'zone least 64k; least_conn;'],
    [keepalive => 'keepalive 4;'],
    [hash => 'hash $uri consistent;'],
);

my $t = Test::Nginx->new()->has(qw/
    http proxy rewrite upstream_hash upstream_keepalive upstream_least_conn upstream_zone
/)->plan(13 * @kinds + 5);

my $upstreams = join '', map { <<"EOC" } @kinds;
    upstream $_->[0] {
        $_->[1]
        sticky hash=index;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082 fail_timeout=5s;
    }
    upstream patient_$_->[0] {
        @{[ $_->[1] =~ s/zone \w+/$& . '_patient'/re ]}
        sticky hash=index;
        server 127.0.0.1:8081 max_fails=0;
        server 127.0.0.1:8082 max_fails=0;
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

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        add_header X-Status \$sticky_status always;
        add_header X-Peer   \$sticky_peer always;
        add_header X-Tried  \$upstream_addr always;

        location ~ ^/(?<upstream>\\w+)(?<rest>/.*)\$ {
            proxy_pass http://\$upstream\$rest;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_next_upstream error timeout http_503;
        }
    }
}

EOC

my ($first, $second) = (port(8081), port(8082));
$t->run_daemon(\&server, $_, $_) for $first, $second;
$t->run();
$t->waitforsocket("127.0.0.1:$_") for $first, $second;

my ($good, $bad) = map { "127.0.0.1:$_" } $first, $second;

# A server that closes the connection is asked once, then another.

for my $kind (map { $_->[0] } @kinds) {
    my $reply = get("/patient_$kind/broken", 'Cookie: route=1');
    is(header('X-Tried', $reply), "$bad, $good", "$kind: each server is asked once");
    like($reply, qr/^HTTP\S+ 502 /, "$kind: no server answers");
    is_deeply([cookies($reply)], [], "$kind: nobody has answered, nobody gets the session");
}

# The second server goes away.

ask($second, 'exit');

for my $kind (map { $_->[0] } @kinds) {
    my ($reply, $next) = in_time(4, sub {
        my ($round) = @_;
        sleep 7 if $round > 1;
        return map { get("/$kind/", 'Cookie: route=1') } 1, 2;
    });
    is(header('X-Tried', $reply), "$bad, $good", "$kind: goes to its server, then to another");
    is_deeply([served_by($reply), header('X-Status', $reply), header('X-Peer', $reply)],
        [$first, 'GONE', $good], "$kind: session moves");
    is_deeply([cookies($reply)], ['route=0; Path=/'], "$kind: cookie of the new server");

    # It has failed once, which is enough: it is not asked again before fail_timeout has passed.
    is(header('X-Tried', $next), $good, "$kind: a server that has failed is left alone");
    is(header('X-Status', $next), 'GONE', "$kind: session without its server");
    is(visit("/$kind/", 'Cookie: route=0'), "$first HIT", "$kind: the moved session stays");
}

# With max_fails=0 it is asked each time.

for my $round (1, 2) {
    my $reply = get('/patient_plain/', 'Cookie: route=1');
    is(header('X-Tried', $reply), "$bad, $good", "max_fails=0: asked again, round $round");
}

# It comes back.

$t->run_daemon(\&server, $second, $second);
$t->waitforsocket($bad);

is(visit("/patient_plain/", 'Cookie: route=1'), "$second HIT",
    'max_fails=0: steered as soon as it is back');

for my $kind (map { $_->[0] } @kinds) {
    ok(eventually(sub { visit("/$kind/", 'Cookie: route=1') eq "$second HIT" }),
        "$kind: steered again when fail_timeout has passed");
    my %seen;
    $seen{visit("/$kind/", 'Cookie: route=1')}++ for 1 .. 4;
    is_deeply(\%seen, { "$second HIT" => 4 }, "$kind: the server has its sessions again");
    is(visit("/$kind/", 'Cookie: route=0'), "$first HIT",
        "$kind: sessions that have moved stay where they are");
    %seen = ();
    $seen{served_by(get("/$kind/$_"))}++ for 1 .. 20;
    is(scalar keys %seen, 2, "$kind: both servers take part again");
}

# The other one goes away.

ask($first, 'exit');
my $reply = get('/plain/', 'Cookie: route=0');
is_deeply([served_by($reply), header('X-Status', $reply), cookies($reply)],
    [$second, 'GONE', 'route=1; Path=/'], 'session moves to a server that has come back');
is(visit("/plain/", 'Cookie: route=1'), "$second HIT", 'and stays there');
