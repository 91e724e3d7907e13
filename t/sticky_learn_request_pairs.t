#!/usr/bin/perl

# Tests for learn=request with four workers. Two first requests at once with one id go to one server,
# also when the first server fails; without that, a client that begins with parallel requests has two
# sessions. No session is astray when workers are killed and nginx reloads, and a flood of invented
# ids costs none that is in use.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;
use Sticky::Traffic;

use constant PAIRS => 1000;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite upstream_zone/)->plan(13);

# nginx writes an alert about each worker that is killed.
$t->todo_alerts();
$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;
worker_processes 4;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    access_log off;

    upstream u {
        zone u 256k;
        sticky mode=query learn=request zone=z:128k;
        server 127.0.0.1:8081 max_fails=0;
        server 127.0.0.1:8082 max_fails=0;
        server 127.0.0.1:8083 max_fails=0;
    }

    server {
        # Each worker gets its part of the connections.
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;
        add_header   X-Worker  $pid            always;
        add_header   X-End     1               always;
        keepalive_requests 100000;

        location / {
            proxy_pass http://u;
            proxy_next_upstream error http_500;
        }
    }
}

EOC
without_debug($t);

my $dir = $t->testdir();
apart($t);
$t->run();

my ($apart, $two, $lost) = pairs('pair', PAIRS);
is($apart, 0, PAIRS . ' pairs at once: none apart');
is($lost, 0, 'and the next request is there, too');
cmp_ok($two, '>', PAIRS / 4, "$two of them at two workers");

# The server that is chosen first fails.

$t->write_file('failed_A', '');
($apart, undef, $lost) = pairs('retried', PAIRS / 4);
is($apart, 0, 'one of three servers fails: none apart');
is($lost, 0, 'and the next request is there, too');
unlink "$dir/failed_A";

# Workers die, and configurations change, while sessions begin and go on.

my $stop = "$dir/over";
my @clients = map {
    my $name = "visitor$_";
    in_background(sub { going_on($name, $stop) });
} 1 .. 3;
srand 1;
my $kills = 0;
for my $round (1 .. 6) {
    for (1 .. 4) {
        my @alive = workers($t);
        $kills += kill 'KILL', $alive[rand @alive] if @alive;
        select undef, undef, undef, 0.05 + rand 0.1;
    }
    $t->reload();
}
$t->write_file('over', '');
my ($requests, $astray, $what) = (0, 0, '');
for (@clients) {
    my @result = split ' ', outcome($_), 3;
    $requests += $result[0];
    $astray += $result[1];
    $what ||= $result[2] // '';
}
cmp_ok($kills, '>', 12, "$kills workers killed");
cmp_ok($requests, '>', 100, "$requests requests meanwhile");
is($astray, 0, 'none astray') or diag($what);
($apart) = pairs('after', 100);
is($apart, 0, 'and none apart afterwards');

# A flood of invented ids, many times what the zone holds.

use constant IN_USE => 1000;
use constant FLOOD => 20_000;
my @ids = map { "used$_" } 1 .. IN_USE;
my %home;
for my $round (1, 2) {
    my @replies = pipelined(map { request($_) } @ids);
    $home{ $ids[$_] } ||= served_by($replies[$_] // '') for 0 .. $#ids;
}
is(differing(\%home, { bring_back('/', @ids) }), 0, IN_USE . ' sessions in use');
is(send_all(1, FLOOD, "X-End: 1\x0d\x0a", sub { request("invented$_[0]") }), FLOOD,
    FLOOD . ' invented ids');
like($t->read_file('error.log'), qr/the session table is full.*zone "z"/, 'fill the zone');
is(differing(\%home, { bring_back('/', @ids) }), 0, 'and cost none of the sessions in use');

sub request { return "GET /?sid=$_[0] HTTP/1.1\r\nHost: localhost\r\n\r\n" }

# Sends two requests with a new id at once, again and again: how many pairs had two servers, how many
# two workers, and how often the next request was elsewhere.
sub pairs {
    my ($name, $count) = @_;
    my ($apart, $two, $lost) = (0, 0, 0);
    for my $n (1 .. $count) {
        my @sockets = map { get("/?sid=$name$n", { start => 1 }) } 1, 2;
        my @replies = map { reply_of($_) } @sockets;
        my ($one, $other) = map { served_by($_) } @replies;
        $apart++ if $one eq '' || $one ne $other;
        $two++ if header('X-Worker', $replies[0]) ne header('X-Worker', $replies[1]);
        $lost++ if served_by(get("/?sid=$name$n")) ne $one;
    }
    return ($apart, $two, $lost);
}

# Sessions that a client begins, each of six requests. A request that gets no answer, since its worker
# has died, is sent again.
sub going_on {
    my ($name, $stop) = @_;
    my ($requests, $astray, $what) = (0, 0, '');
    for (my $n = 1; !-e $stop; $n++) {
        my $home = '';
        for (1 .. 6) {
            my $reply = '';
            for (1 .. 100) {
                $reply = get("/?sid=$name-$n");
                last if served_by($reply);
            }
            $requests++;
            $home ||= served_by($reply);
            next if served_by($reply) eq $home;
            $astray++;
            $what ||= "$name-$n: $home, then " . served_by($reply) . ' ' . status($reply);
        }
    }
    return "$requests $astray $what";
}
