#!/usr/bin/perl

# Tests for what servers have on their account after 100,000 requests, a good part of which failed,
# were steered, retried, refused or given up by the client; without them a counter of connections
# drifts, and a server gets less than its share for ever, or more than max_conns.
#
# The counters are nginx's own, in the zone that four workers share, and they are read from outside:
# a server with max_conns=N takes exactly N requests at a time, neither more nor less, and
# least_conn finds all servers equal.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Peers qw/ needs program /;
use Sticky::Servers;

use Digest::MD5 qw/ md5_hex /;

needs('wrk');

use constant {
    REQUESTS  => 100_000,
    LIMIT     => 4,     # max_conns of each server
    MAX_FAILS => 50,    # of the upstream whose servers drop out while this goes on
};

# Elsewhere each failure takes one from the weight that round robin counts with, and each request
# that it balances gives one back.
my $heavy = 'weight=20000 max_fails=20000';

my %upstreams = (
    round_robin => ['', $heavy],
    least       => ['least_conn;', $heavy],
    kept        => ['keepalive 16;', $heavy],
    consistent  => ['hash $request_id consistent;', 'max_fails=20000'],
    failing     => ['', 'max_fails=' . MAX_FAILS],
);

my $t = Test::Nginx->new()->has(qw/
    http proxy rewrite split_clients upstream_hash upstream_keepalive upstream_least_conn
    upstream_zone
/)->plan(6 * keys(%upstreams) + 4);

my $upstreams = join '', map {
    my ($balancer, $parameters) = @{ $upstreams{$_} };
    my $limit = LIMIT;
    my $servers = join "\n        ",
        map { "server 127.0.0.1:$_ $parameters fail_timeout=1s max_conns=$limit;" } 8081 .. 8083;
    <<"EOC" } sort keys %upstreams;
    upstream $_ {
        zone $_ 64k;
        sticky;
        $balancer
        $servers
    }
EOC

# The servers: of seven requests of the load, one is answered by 503 and one not at all. The other
# requests go to a server in perl, which holds them for the test.
my $servers = join '', map { <<"EOC" } 8081 .. 8083;
    server {
        listen      127.0.0.1:$_;
        access_log  off;
        keepalive_requests 100000;

        location /       { proxy_pass http://127.0.0.1:@{[ $_ + 3 ]}; }
        location /fail   { return 444; }
        location /load   {
            if (\$fate = 503) { return 503; }
            if (\$fate = 444) { return 444; }
            return 200 ok;
        }
    }
EOC

# The debug log of 100,000 requests would be some gigabytes.

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;
worker_processes 4;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    log_format  load  '\$status \$sticky_status \$upstream_addr';
    access_log  off;
    error_log   %%TESTDIR%%/error.log crit;

    split_clients "\$request_id" \$fate {
        14%  503;
        14%  444;
        *    200;
    }

$upstreams
    server {
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;

        keepalive_requests     1000000;
        proxy_http_version     1.1;
        proxy_set_header       Connection "";
        proxy_next_upstream    error timeout http_503;
        add_header             X-Status \$sticky_status always;

        location ~ ^/(?<upstream>\\w+)(?<rest>/load)\$ {
            proxy_pass http://\$upstream\$rest;
            access_log %%TESTDIR%%/load.log load buffer=32k;
        }

        # A failure that is not made good by another server.
        location ~ ^/(?<upstream>\\w+)(?<rest>/fail)\$ {
            proxy_pass http://\$upstream\$rest;
            proxy_next_upstream off;
        }

        location ~ ^/(?<upstream>\\w+)(?<rest>/.*)\$ {
            proxy_pass http://\$upstream\$rest;
        }
    }

$servers
}

EOC

my @ports = map { port($_) } 8081 .. 8083;
my @behind = map { port($_) } 8084 .. 8086;
my @cookies = map { 'Cookie: route=' . md5_hex("127.0.0.1:$_") } @ports, 9;

$t->run_daemon(\&server, $behind[$_], $ports[$_]) for 0 .. 2;
$t->run();
$t->waitforsocket("127.0.0.1:$_") for @behind;

# The load: cookies of every server, of one that there never was, and none; at the end of each
# second clients that do not wait for their answers.

$t->write_file('load.lua', sprintf <<'EOC', join ', ', map { "'" . substr($_, 8) . "'" } @cookies);
local cookies, count = { %s }, 0

request = function()
    count = count + 1
    return wrk.format('GET', nil, { Host = 'localhost', Cookie = cookies[count %% 5 + 1] })
end
EOC

my $sent = 0;
for my $upstream (sort keys %upstreams) {
    my $begun = $sent;
    for (1 .. 200) {
        last if $sent - $begun >= REQUESTS / 4;
        $sent += load($upstream, $t->testdir());
        for (1 .. 100) {
            my $socket = get("/$upstream/load", $cookies[$_ % 5] // (), { start => 1 });
            close $socket;
        }
    }
}
# Runs wrk for a second; the number of requests.
sub load {
    my ($upstream, $folder) = @_;
    my @command = (program('wrk'), qw/ --threads 1 --connections 10 --duration 1s --script /,
        "$folder/load.lua", 'http://127.0.0.1:' . port(8080) . "/$upstream/load");
    open my $report, '-|', @command or die "Can't run wrk: $!";
    my ($requests) = map { /(\d+) requests in/ } <$report>;
    close $report;
    return $requests // 0;
}

# A second, as fail_timeout, and what nginx needs to see that clients have gone.

sleep 3;

for my $upstream (sort keys %upstreams) {

    my @first = map { visit("/$upstream/", $_) } @cookies[0 .. 2];
    is_deeply(\@first, [map { "$_ HIT" } @ports], "$upstream: no server counts as failed");

    # Exactly so many fit in.

    my @held = map { hold($upstream, $_) } (0, 1, 2) x LIMIT;
    eventually(sub { 3 * LIMIT == held() });
    is_deeply([map { ask($_, 'held') } @behind], [(LIMIT) x 3], "$upstream: room for max_conns");
    is_deeply([map { visit("/$upstream/", $_ // ()) =~ /^(\d+)/ } undef, @cookies], [(502) x 5],
        "$upstream: and for no more");

    ask($_, 'release') for @behind;
    my %answers;
    for my $socket (@held) {
        local $/;
        $answers{ served_by(<$socket>) }++;
    }
    is_deeply(\%answers, { map { $_ => LIMIT } @ports }, "$upstream: each at its server");

    # One after the other: balanced evenly. The first give round robin back what failures took.

    visit("/$upstream/") for 1 .. 100;
    my %even;
    $even{visit("/$upstream/")}++ for 1 .. 60;
    my @shares = map { $even{"$_ NONE"} // $even{"$_ NEW"} // 0 } @ports;
    my $uneven = $upstream eq 'consistent' ? 19 : 1;
    is(scalar(grep { abs($_ - 20) <= $uneven } @shares), 3, "$upstream: balanced (@shares)");

    # At the same time: least_conn fills the servers evenly, the others fill them, too.

    @held = map { hold($upstream) } 1 .. 3 * LIMIT;
    eventually(sub { 3 * LIMIT == held() });
    is_deeply([map { ask($_, 'held') } @behind], [(LIMIT) x 3], "$upstream: filled evenly");
    ask($_, 'release') for @behind;
    for my $socket (@held) {
        local $/;
        my $reply = <$socket>;
    }
}

# Failures of steered requests are counted one by one.

my ($less, $all) = in_time(1, sub {
    my ($round) = @_;
    # So that the failures of the last round are forgotten.
    sleep 3 if $round > 1;
    visit("/failing/", $cookies[0]);
    my $start = time();
    get('/failing/fail', $cookies[0]) for 1 .. MAX_FAILS - 1;
    my $less = visit("/failing/", $cookies[0]);
    get('/failing/fail', $cookies[0]);
    return ($less, visit("/failing/", $cookies[0]));
});
is($less, "$ports[0] HIT", 'one failure less than max_fails');
like($all, qr/^(?!$ports[0])\d+ GONE$/, 'and the last one');

$t->stop();

my %seen;
open my $log, '<', $t->testdir() . '/load.log' or die "Can't read the log: $!";
while (<$log>) {
    $seen{lines}++;
    $seen{failed}++ if /,/ || /^50/;
    $seen{reached}++ if /\d:\d/;
}
cmp_ok($seen{reached}, '>=', REQUESTS, "as many have reached a server (of $seen{lines})");
cmp_ok($seen{failed}, '>=', REQUESTS / 5, 'with failures');

sub held {
    my $held = 0;
    $held += ask($_, 'held') for @behind;
    return $held;
}

# Starts a request that is held, of a session of this server if there is a number.
sub hold {
    my ($upstream, $number) = @_;
    return get("/$upstream/hold", defined $number ? $cookies[$number] : (), { start => 1 });
}
