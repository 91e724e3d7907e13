#!/usr/bin/perl

# Tests for addresses that come and go all the time under load (`server NAME resolve`, from nginx
# 1.27.3 on), with four workers; without them a worker follows an address that has been freed, and
# crashes, keeps it for ever, or counts for ever what it has begun there.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Peers qw/ needs program /;
use Sticky::PeersDns qw/ dns_server set_names /;

use Digest::MD5 qw/ md5_hex /;

needs('wrk');

use constant { SECONDS => 8, LIMIT => 2 };

my $t = Test::Nginx->new()->has(qw/
    http proxy rewrite upstream_hash upstream_keepalive upstream_least_conn upstream_random
    upstream_zone
/);
plan(skip_all => 'servers do not come and go before nginx 1.27.3') unless $t->has_version('1.27.3');

# Several names each, as an address changes once a second at most.
my @names = map { "shop$_.test" } 1 .. 6;

my %upstreams = (
    round_robin => ['sticky mode=query;'],
    least       => ['least_conn;', 'sticky mode=query;'],
    consistent  => ['hash $request_id consistent;', 'sticky;'],
    random      => ['random two;', 'sticky;', 'keepalive 8;'],
    first_kept  => ['keepalive 8;', 'sticky mode=query;'],
);
$t->plan(3 * keys(%upstreams) + 3);

# The zones have room for all addresses at once, but not for those that have left in the whole time:
# each must be freed when its last request has ended.
my $upstreams = join '', map { <<"EOC" } sort keys %upstreams;
    upstream $_ {
        zone $_ 160k;
        @{ $upstreams{$_} }
        @{[ map { "server $_:%%PORT_8081%% resolve max_fails=0 max_conns=" . LIMIT . ';' } @names ]}
    }
EOC

my $listeners = join "\n        ", map { "listen 127.0.0.$_:%%PORT_8081%%;" } 2 .. 121;

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;
worker_processes 4;

events {
    worker_connections 2048;
}

http {
    %%TEST_GLOBALS_HTTP%%

    log_format  load  '\$status \$sticky_status \$upstream_addr';
    access_log  off;
    error_log   %%TESTDIR%%/error.log crit;

    resolver 127.0.0.1:%%PORT_8982_UDP%% valid=1s ipv6=off;

$upstreams
    server {
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;

        proxy_http_version  1.1;
        proxy_set_header    Connection "";
        keepalive_requests  100000;
        access_log          %%TESTDIR%%/load.log load buffer=32k;
        add_header          X-Status \$sticky_status always;

        location ~ ^/(?<upstream>\\w+)(?<rest>/.*)\$ {
            proxy_pass http://\$upstream\$rest\$is_args\$args;
        }
    }

    server {
        $listeners
        server_name  localhost;
        default_type text/html;

        location / {
            add_header X-Server \$server_addr;
            return 200 '<a href="?sid=\$arg_new">x</a>';
        }

        # Up to two seconds, in which its address may go.
        location /slow {
            add_header X-Server \$server_addr;
            limit_rate 10k;
            alias %%TESTDIR%%/slow;
        }
    }
}

EOC

$t->write_file('slow', 'x' x 20_000);

# Each name has twenty addresses, of which any number may be there: more than 64 servers in all, so
# that what nginx keeps for each request about the servers it has tried changes its size, too.
my %addresses = map {
    my $number = $_;
    $names[$number] => [map { '127.0.0.' . (2 + 20 * $number + $_) } 0 .. 19];
} 0 .. $#names;

set_names($t, map { $_ => ['flap', @{ $addresses{$_} }] } @names);
$t->run_daemon(\&dns_server, port(8982, udp => 1), $t->testdir());
$t->run();

$t->write_file('load.lua', sprintf <<'EOC', join ', ', map { "'route=" . md5_hex($_) . "'" } ports());
local cookies = { %s }
local count = 0

request = function()
    count = count + 1
    local id = math.random(1, 2000)
    local page = count %% 50 == 0 and '/slow' or '/'
    local path = wrk.path .. page .. '?sid=s' .. id .. '&new=s' .. math.random(1, 2000)
    return wrk.format('GET', path, { Host = 'localhost', Cookie = cookies[count %% #cookies + 1] })
end
EOC

sub ports { return map { "127.0.0.$_:" . port(8081) } 2 .. 121 }

# All upstreams at once, until each has got a good number of requests.

my %sent = map { $_ => 0 } keys %upstreams;
for (1 .. 20) {
    my @loads = map {
        open my $report, '-|', program('wrk'), qw/ --threads 1 --connections 12 --duration /,
            SECONDS . 's', '--script', $t->testdir() . '/load.lua',
            'http://127.0.0.1:' . port(8080) . "/$_" or die "Can't run wrk: $!";
        $report;
    } sort keys %upstreams;
    for my $upstream (sort keys %upstreams) {
        my $report = shift @loads;
        $sent{$upstream} += $_ for map { /(\d+) requests in/ } <$report>;
        close $report;
    }
    last unless grep { $_ < 1000 } values %sent;
}
cmp_ok($sent{$_}, '>=', 1000, "$_: requests sent") for sort keys %upstreams;

# One that had crashed would have a successor.
my @workers = $t->read_file('error.log') =~ /start worker process (\d+)/g;
is_deeply([scalar(@workers), scalar(grep { kill 0, $_ } @workers)], [4, 4],
    'all workers are alive');

# Four addresses are left, known before or not: none has a request on its account that has ended.

my @left = map { $addresses{ $names[0] }[$_] } 0 .. 3;
set_names($t, $names[0] => \@left);

for my $upstream (sort keys %upstreams) {
    my $settled = eventually(sub {
        my %seen = map { served_by($_) => 1 } map { get("/$upstream/") } 1 .. 40;
        return join(' ', sort keys %seen) eq join ' ', sort @left;
    });
    ok($settled, "$upstream: the last four addresses");

    my @held = map { get("/$upstream/slow", { start => 1 }) } 1 .. LIMIT * @left;
    my %seen;
    for my $socket (@held) {
        local $/;
        $seen{ served_by(<$socket>) }++;
    }
    is_deeply(\%seen, { map { $_ => LIMIT } @left }, "$upstream: room for max_conns at each");
}

$t->stop();

unlike($t->read_file('error.log'), qr/no memory in upstream zone/, 'what has left is freed');

my %seen;
open my $log, '<', $t->testdir() . '/load.log' or die "Can't read the log: $!";
while (<$log>) {
    $seen{$1}++ if /^\d+ (\w+)/;
}
ok($seen{HIT} && $seen{GONE} && $seen{MISS}, 'sessions were kept, moved, and unknown ('
    . join(', ', map { "$_ $seen{$_}" } sort keys %seen) . ')');
