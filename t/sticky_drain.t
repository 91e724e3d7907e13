#!/usr/bin/perl

# Tests for sticky_drain_on: a server that says so gets no new sessions, in any worker and under any
# balancer, and its own stay; without it, a server cannot be emptied before it is replaced.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;
use Sticky::Visitors;

my %balancer = (
    round_robin => '',
    least_conn  => 'least_conn;',
    hash        => 'hash $arg_n;',
    consistent  => 'hash $arg_n consistent;',
    random      => 'random;',
    random_two  => 'random two least_conn;',
    in_zone     => 'zone in_zone 256k;',
);
my %line = (
    (map { $_ => "sticky mode=query; $balancer{$_}" } keys %balancer),
    request => 'sticky mode=query learn=request;',
    bounded => 'sticky mode=query learn=html,request balance_factor=125;',
    cookie  => 'sticky;',
    nginx   => 'sticky cookie srv;',
);
my @queries = sort(keys %balancer, qw/ bounded /);

my $t = Test::Nginx->new()->has(qw/http proxy rewrite upstream_zone upstream_least_conn
    upstream_hash upstream_random cache/);
# Since 1.29.6 nginx itself carries this one out.
delete $line{nginx} if $t->has_version('1.29.6');

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<'EOC' =~ s/UPSTREAMS/upstreams(%line)/er);

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

UPSTREAMS

    upstream backup {
        sticky mode=query;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082 backup;
        server 127.0.0.1:8083 backup;
    }

    upstream failing {
        sticky mode=query;
        server 127.0.0.1:8081;
        server 127.0.0.1:8085 fail_timeout=0;
        server 127.0.0.1:8086 fail_timeout=0 backup;
    }

    proxy_cache_path %%TESTDIR%%/cache keys_zone=cache:1m;

    server {
        # Each worker gets its part of the connections.
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;
        add_header   X-Worker  $pid            always;

        sticky_drain_on $upstream_http_link;

        location ~ ^/at/(?<upstream>\w+)/ {
            rewrite ^/at/\w+(/.*) $1 break;
            proxy_pass http://$upstream;
            proxy_next_upstream error http_500;
        }

        location /cached/ {
            proxy_pass http://round_robin/;
            proxy_cache cache;
            proxy_cache_valid 1h;
            proxy_cache_key $uri;
        }

        location /deaf/ {
            sticky_drain_on $upstream_http_x_nothing;
            proxy_pass http://round_robin/;
        }
    }
}

EOC

$t->plan(4 * @queries + 22 + (exists $line{nginx} ? 2 : 0));
$t->run();

my $n = 0;

for my $upstream (@queries) {
    my $id = session_at('A', $upstream);
    get("/at/$upstream/?sid=$id", 'X-Link' => 1);
    unlike(news($upstream), qr/A/, "$upstream: no new sessions");
    is(where("/at/$upstream/?sid=$id"), 'A' x 6, 'its own stay');
    get("/at/$upstream/?sid=$id", 'X-Link' => '');
    unlike(news($upstream), qr/A/, 'an empty variable changes nothing');
    get("/at/$upstream/?sid=$id", 'X-Link' => 0);
    like(news($upstream), qr/A/, 'it takes new sessions again');
}

# Sessions that begin with a request.

my $first = begun_at('A', 'request');
get("/at/request/?sid=$first", 'X-Link' => 1);
unlike(join('', map { served_by(get("/at/request/?sid=made" . $n++)) } 1 .. 30), qr/A/,
    'learn=request: no new sessions');
is(where("/at/request/?sid=$first"), 'A' x 6, 'its own stay');

# Cookies.

for my $upstream (grep { exists $line{$_} } qw/ cookie nginx /) {
    my $cookie = cookie_of('A', $upstream);
    get("/at/$upstream/", 'Cookie' => $cookie, 'X-Link' => 'yes');
    unlike(news($upstream), qr/A/, "$upstream: no new clients");
    is(where("/at/$upstream/", 'Cookie' => $cookie), 'A' x 6, 'its own stay');
}

# One after the other.

my %session = map { $_ => session_at($_, 'round_robin') } qw/ A B C /;
get("/at/round_robin/?sid=$session{A}", 'X-Link' => 1);
get("/at/round_robin/?sid=$session{B}", 'X-Link' => 1);
is(news('round_robin'), 'C' x 30, 'two of three: the third gets all');
get("/at/round_robin/?sid=$session{C}", 'X-Link' => 1);
my $all = news('round_robin');
ok($all =~ /A/ && $all =~ /B/ && $all =~ /C/ && length $all == 30,
    'all three: they go on getting them') or diag($all);
is(join('', map { served_by(get("/at/round_robin/?sid=$session{$_}")) } qw/ A B C /), 'ABC',
    'and keep their own');
get("/at/round_robin/?sid=$session{$_}", 'X-Link' => 0) for qw/ B C /;
unlike(news('round_robin'), qr/A/, 'two are back');

my %workers = map { header('X-Worker', get('/at/round_robin/')) => 1 } 1 .. 40;
is(keys %workers, 2, 'all of that in two workers');

# A reload.

$t->reload();
ok(eventually(sub { !grep { $workers{ header('X-Worker', get('/at/round_robin/')) } } 1 .. 10 }),
    'nginx reloads');
unlike(news('round_robin'), qr/A/, 'it is drained still');
is(where("/at/round_robin/?sid=$session{A}"), 'A' x 6, 'and keeps its own');

get("/at/round_robin/?sid=$session{A}", 'X-Link' => 0);

# What says nothing.

get("/deaf/?sid=$session{A}", 'X-Link' => 1);
like(news('round_robin'), qr/A/, 'the variable of another location');
my $to_cache = get("/cached/?sid=$session{B}", 'X-Link' => 1, 'X-Page' => 'x');
is(served_by($to_cache), 'B', 'a response that nginx puts into its cache');
unlike(news('round_robin'), qr/B/, 'drains the server');
get("/at/round_robin/?sid=$session{B}", 'X-Link' => 0);
is(header('Link', get("/cached/?sid=$session{B}")), 1, 'the same from the cache');
like(news('round_robin'), qr/B/, 'does not');

# Backup servers.

my $at_a = session_at('A', 'backup');
get("/at/backup/?sid=$at_a", 'X-Link' => 1);
like(news('backup'), qr/^[BC]{30}$/, 'of one server and two backup servers the first');
my $at_b = session_at('B', 'backup');
get("/at/backup/?sid=$at_b", 'X-Link' => 1);
is(news('backup'), 'C' x 30, 'and a backup server');
is(where("/at/backup/?sid=$at_a"), 'A' x 6, 'the first keeps its own');

# Others fail, one of them a backup server.

my $before = session_at('A', 'failing');
get("/at/failing/?sid=$before", 'X-Link' => 1);
is(join('', map { code(get('/at/failing/')) . ' ' } 1 .. 4), '200 ' x 4,
    'the others and the backup server do not answer: it is tried, too');


my $drained = session_at('A', 'in_zone');
get("/at/in_zone/?sid=$drained", 'X-Link' => 1);
$t->write_file("failed_$_", '') for qw/ B C /;
is(join('', map { served_by(get('/at/in_zone/')) } 1 .. 3), 'AAA',
    'if no other one works, it gets new sessions');
