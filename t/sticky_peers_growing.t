#!/usr/bin/perl

# Tests for an upstream that grows while a request is under way at a backup server (`server NAME
# resolve`, from nginx 1.27.3 on); without them the notes of the servers that a request has tried,
# made for the old number of servers, are written for the new one, over what lies behind them.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::PeersDns qw/ dns_server set_names /;
use Sticky::Servers;

use Digest::MD5 qw/ md5_hex /;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite upstream_least_conn upstream_zone /);
plan(skip_all => 'servers do not come and go before nginx 1.27.3') unless $t->has_version('1.27.3');

my %upstreams = (plain => '', least => 'least_conn;');
$t->plan(3 * keys(%upstreams) + 1);

# Names of their own for each upstream, so that both can grow in their turn; more than one, as an
# answer of DNS has room for some 250 addresses.
my $upstreams = join '', map { <<"EOC" } sort keys %upstreams;
    upstream $_ {
        zone $_ 2m;
        sticky;
        $upstreams{$_}
        server 1.$_.test:%%PORT_8081%% resolve;
        server 2.$_.test:%%PORT_8081%% resolve;
        server 3.$_.test:%%PORT_8081%% resolve;
        server 127.0.0.1:@{[ $_ eq 'plain' ? 8082 : 8083 ]} backup max_fails=0;
    }
EOC

my @many = map { my $net = $_; [map { "127.0.$net.$_" } 2 .. 241] } 1 .. 3;
my $listeners = join "\n        ", map { "listen $_:%%PORT_8081%%;" } map { @$_ } @many;

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
    worker_connections 4096;
}

http {
    %%TEST_GLOBALS_HTTP%%

    resolver 127.0.0.1:%%PORT_8982_UDP%% valid=1s ipv6=off;

$upstreams
    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location ~ ^/(?<upstream>\\w+)(?<rest>/.*)\$ {
            proxy_pass http://\$upstream\$rest;
            add_header X-Status \$sticky_status always;
        }
    }

    server {
        $listeners
        server_name  localhost;

        location / {
            add_header X-Server \$server_addr;
            return 200 well;
        }
    }
}

EOC

my %backup = (plain => port(8082), least => port(8083));
my %addresses = map { ("1.$_.test" => ['127.0.1.2']) } keys %upstreams;
set_names($t, %addresses);
$t->run_daemon(\&dns_server, port(8982, udp => 1), $t->testdir());
$t->run_daemon(\&server, $_, $_) for values %backup;
$t->run();
$t->waitforsocket("127.0.0.1:$_") for values %backup;


for my $upstream (sort keys %upstreams) {
    my $cookie = 'Cookie: route=' . md5_hex("127.0.0.1:$backup{$upstream}");
    ok(eventually(sub { served_by(get("/$upstream/")) eq '127.0.1.2' }), "$upstream: one server");

    my @open = map { get("/$upstream/hold", $cookie, { start => 1 }) } 1 .. 8;
    eventually(sub { ask($backup{$upstream}, 'held') == @open });

    $addresses{"$_.$upstream.test"} = $many[$_ - 1] for 1 .. 3;
    set_names($t, %addresses);
    my %nets;
    my $grown = eventually(sub {
        for (1 .. 40) {
            $nets{$1} = 1 if served_by(get("/$upstream/")) =~ /^(127\.0\.\d)\./;
        }
        return keys %nets == 3;
    });
    ok($grown, "$upstream: many servers of each name");

    # The backup server ends without an answer. A request from before a change is not balanced once
    # more, nginx ends it with 502 (ngx_http_upstream_get_round_robin_peer()).
    ask($backup{$upstream}, 'exit');
    my %seen;
    for my $socket (@open) {
        local $/;
        my $reply = <$socket> // '';
        $seen{ substr $reply, 9, 3 }++;
    }
    is_deeply(\%seen, { 502 => 8 }, "$upstream: ended in order");
}

# One that had crashed would have a successor.
my @workers = $t->read_file('error.log') =~ /start worker process (\d+)/g;
is_deeply([scalar(@workers), scalar(grep { kill 0, $_ } @workers)], [2, 2],
    'both workers are alive');
