#!/usr/bin/perl

# Tests for balance_factor: when the server of a session has its share of all active requests, this
# request goes to the least loaded one, and the session stays; without it one busy session takes its
# server from all others. Under skewed load: one session has half of the requests.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Servers;

use POSIX qw/ ceil /;

use constant REQUESTS => 60;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite upstream_zone/)->plan(33);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;
worker_processes 4;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    upstream bounded {
        zone bounded 128k;
        sticky mode=query learn=request balance_factor=125;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream unbounded {
        zone unbounded 128k;
        sticky mode=query learn=request;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream weighted {
        zone weighted 128k;
        sticky mode=query learn=request balance_factor=150;
        server 127.0.0.1:8081 weight=4;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream two {
        zone two 128k;
        sticky mode=query learn=request balance_factor=125;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
        server 127.0.0.1:8084 max_conns=1;
    }

    server {
        # Each worker gets its part of the connections.
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;
        add_header   X-Status  $sticky_status          always;
        add_header   X-Tries   $upstream_sticky_status always;

        location ~ ^/(?<upstream>\w+)(?<rest>/.*)$ {
            proxy_pass http://$upstream$rest$is_args$args;
        }

        location ^~ /staying/ {
            sticky_no_fallback;
            proxy_pass http://bounded/;
        }

        location ^~ /there/ {
            sticky_no_fallback;
            proxy_pass http://two/;
        }
    }
}

EOC

my @ports = map { port($_) } 8081 .. 8083;
my $small = port(8084);
$t->run_daemon(\&server, $_, $_) for @ports, $small;
$t->run();
$t->waitforsocket("127.0.0.1:$_") for @ports, $small;

# One after the other: no choice exceeds the share that a server had then.

for my $upstream (qw/ bounded unbounded weighted /) {
    my $home = served_by(get("/$upstream/?sid=busy"));
    my ($exceeded, @open) = (0);
    my %weight = map { $_ => 1 } @ports;
    $weight{ $ports[0] } = 4 if $upstream eq 'weighted';
    my $weights = 0;
    $weights += $_ for values %weight;
    my $factor = $upstream eq 'weighted' ? 1.5 : 1.25;
    my %held = map { $_ => 0 } @ports;
    for my $n (1 .. REQUESTS) {
        my $id = $n % 2 ? 'busy' : "other$n";
        push @open, get("/$upstream/hold?sid=$id", { start => 1 });
        my %now;
        eventually(sub {
            %now = map { $_ => ask($_, 'held') } @ports;
            my $sum = 0;
            $sum += $_ for values %now;
            return $sum == $n;
        });
        my ($chosen) = grep { $now{$_} > $held{$_} } @ports;
        my $most = ceil($factor * $n * $weight{$chosen} / $weights - 1e-9);
        $exceeded++ if $now{$chosen} > $most;
        %held = %now;
    }
    my ($largest) = sort { $b <=> $a } map { $held{$_} / $weight{$_} } @ports;
    if ($upstream eq 'unbounded') {
        cmp_ok($exceeded, '>', 0, 'unbounded: the share is exceeded');
        cmp_ok($held{$home}, '>=', REQUESTS / 2, "unbounded: its server has $held{$home} requests");
    } else {
        is($exceeded, 0, "$upstream: no server has more than its share");
        cmp_ok($largest, '<=', ceil($factor * REQUESTS / $weights),
            "$upstream: @held{@ports} requests of " . REQUESTS);
    }
    my $reply = '';
    if ($upstream eq 'bounded') {
        # With 27 it would have more than 125 % of a third of 62, which is 26 at most.
        push @open, get('/bounded/hold?sid=busy', { start => 1 });
        eventually(sub { ask($home, 'held') == $held{$home} + 1 });
        $reply = get('/bounded/?sid=busy');
    }
    ask($_, 'release') for @ports;
    reply_of($_) for @open;
    if ($upstream eq 'bounded') {
        is(status($reply), 'FULL', 'bounded: status of a request that goes elsewhere');
        is(header('X-Tries', $reply), 'MISS', 'bounded: and of its attempt');
        isnt(served_by($reply), $home, 'bounded: it is at another server');
    }
    eventually(sub { !grep { ask($_, 'held') } @ports });
    for (1 .. 6) {
        is(visit("/$upstream/?sid=busy"), "$home HIT", "$upstream: the session has stayed, $_");
    }
}

# All at once, at four workers.

my $home = served_by(get('/bounded/?sid=busy'));
my @open = map { get('/bounded/hold?sid=' . ($_ % 2 ? 'busy' : "more$_"), { start => 1 }) }
    1 .. REQUESTS;
my @held;
eventually(sub {
    @held = map { ask($_, 'held') } @ports;
    my $sum = 0;
    $sum += $_ for @held;
    return $sum == REQUESTS;
});
my ($largest) = sort { $b <=> $a } @held;
cmp_ok($largest, '<=', ceil(1.25 * REQUESTS / 3), "at once: @held requests of " . REQUESTS);

# Where a request must not go elsewhere, it stays.

is(visit('/staying/?sid=busy'), "$home HIT", 'sticky_no_fallback: at its server all the same');
ask($_, 'release') for @ports;
reply_of($_) for @open;

# The server of the first id is full, and that of the second has its share.

my ($first, $second);
for my $n (1 .. 40) {
    my $at = served_by(get("/two/?sid=id$n"));
    $first  //= "id$n" if $at eq $small;
    ($second, $home) = ("id$n", $at) if $at ne $small;
}
is(visit("/two/?sid=$first&sid=$second"), "$small HIT", 'two ids: the first one decides');
@open = get("/there/hold?sid=$first", { start => 1 });
eventually(sub { ask($small, 'held') == 1 });
is(visit("/two/?sid=$first&sid=$second"), "$home HIT", 'its server is full: the second one');
push @open, map { get("/there/hold?sid=$second", { start => 1 }) } 1 .. 8;
eventually(sub { ask($home, 'held') == 8 });
my $reply = get("/two/?sid=$first&sid=$second");
is(status($reply), 'FULL', 'the second one has its share: it is passed by');
ok(served_by($reply) ne $home && served_by($reply) ne $small, 'for another server');
ask($_, 'release') for @ports, $small;
reply_of($_) for @open;
