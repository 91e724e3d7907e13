#!/usr/bin/perl

# Tests for the counters of upstreams and servers against what clients have seen: 100,000 mixed
# requests over four workers, which are killed and replaced meanwhile; without it, what an operator is
# shown may be anything.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Counters;
use Sticky::Nginx;
use Sticky::Pages;
use Sticky::Traffic;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite map /)->plan(12);

# Workers are killed.
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
    keepalive_requests 100000;

    upstream query {
        sticky mode=query zone=z:256k;
        server 127.0.0.1:8081 max_fails=0;
        server 127.0.0.1:8082 max_fails=0;
        server 127.0.0.1:8083 max_fails=0;
    }

    upstream cookie {
        sticky mode=cookie;
        server 127.0.0.1:8081 max_fails=0;
        server 127.0.0.1:8082 max_fails=0;
    }

    upstream own {
        sticky mode=query zone=off;
        server 127.0.0.1:8081 max_fails=0;
        server 127.0.0.1:8083 max_fails=0;
    }

    server {
        # Each worker gets its part of the connections.
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;
        add_header   X-Seen  "$sticky_status $sticky_peer"  always;

        location /query/  { proxy_pass http://query/; }
        location /cookie/ { proxy_pass http://cookie/; }
        location /own/    { proxy_pass http://own/; }
        location /sticky { sticky_status; }
    }
}

EOC
without_debug($t);
apart($t);
$t->run();

use constant CLIENTS => 4;
use constant REQUESTS => 25_000;
use constant KILLS => 12;
use constant RELOADS => 4;

my $dir = $t->testdir();
my @upstreams = qw/ query cookie own /;

# Clients, each in a process of its own.

my $before = sums();
is(join(' ', sort keys %$before), 'cookie own query', 'all upstreams are counted');
my @clients = map { my $n = $_; in_background(sub { return client($n) }) } 1 .. CLIENTS;
my ($kills, $reloads) = (0, 0);
for my $round (1 .. KILLS) {
    # In the middle of all.
    my $due = CLIENTS * REQUESTS * $round / (KILLS + 1);
    eventually(sub { counted("$dir/answers") >= $due }) or last;
    my @workers = workers($t);
    my $victim = $workers[rand @workers] // next;
    $kills += kill 'KILL', $victim;
    next if $round % int(KILLS / RELOADS);
    # As many as there were are there again.
    eventually(sub { workers($t) >= 4 });
    my %old = map { $_ => 1 } workers($t);
    $t->reload();
    $reloads += !!eventually(sub { 4 <= grep { !$old{$_} } workers($t) });
}
is($kills, KILLS, 'workers killed');
is($reloads, RELOADS, 'reloads');

my (%seen, %cut);
my $answers = 0;
for (@clients) {
    for (split /;/, outcome($_)) {
        my ($upstream, $status, $peer, $count) = /^(\S+) (\S+) (\S*) (\d+)$/ or next;
        if ($status eq 'cut') {
            $cut{$upstream} += $count;
            next;
        }
        $answers += $count;
        $seen{$upstream}{$status} += $count;
        $seen{$upstream}{$peer} += $count if $status eq 'HIT';
    }
}
is($answers, CLIENTS * REQUESTS, 'all requests are answered');

# A request is counted when its answer was passed on: the last of them a moment later.
my $sums;
my $apart = sub {
    $sums = sums();
    my ($apart, $all) = (0, 0);
    for my $upstream (@upstreams) {
        my ($own, $seen) = ($sums->{$upstream}, $seen{$upstream});
        my @statuses = grep { /^[A-Z]+$/ } keys %$own;
        $apart += abs($own->{$_} - ($seen->{$_} // 0)) for @statuses;
        $all += $own->{$_} for @statuses;
    }
    return wantarray ? ($apart, $all) : $apart;
};
my ($in_flight) = (0);
$in_flight += $_ for values %cut;
eventually(sub { $apart->() <= $in_flight });
my ($differ, $all) = $apart->();
cmp_ok($differ, '<=', $in_flight, "$all requests are counted, by status");
cmp_ok($in_flight, '<', 2 * KILLS * CLIENTS * 40, "of which $in_flight were in flight at a kill, $differ differ");
for my $upstream (@upstreams) {
    my @statuses = sort keys %{ $seen{$upstream} };
    my @kinds = grep { /^[A-Z]+$/ } @statuses;
    cmp_ok(scalar @kinds, '>=', 3, "$upstream: " . join ' ', map { "$_=$seen{$upstream}{$_}" } @kinds);
}
my $hits = 0;
for my $upstream (@upstreams) {
    for (grep { /:\d+$/ } keys %{ $sums->{$upstream} }) {
        $hits += abs($sums->{$upstream}{$_} - ($seen{$upstream}{$_} // 0));
    }
}
cmp_ok($hits, '<=', $in_flight, "hits of servers, of which $hits differ");

# With nobody killed, nothing differs, also over a reload. What the clients' last requests count, their
# workers have counted when they are gone.

my @counting = workers($t);
$t->reload();
eventually(sub { workers($t) && !grep { kill 0, $_ } @counting });
my $settled = sums();
my $client = in_background(sub { return client(9, 4000) });
eventually(sub { counted("$dir/answers") >= CLIENTS * REQUESTS + 2000 });
my %old = map { $_ => 1 } workers($t);
$t->reload();
eventually(sub { 4 <= grep { !$old{$_} } workers($t) });
my %exact;
for (split /;/, outcome($client)) {
    my ($upstream, $status, $peer, $count) = /^(\S+) (\S+) (\S*) (\d+)$/ or next;
    # A worker that quits closes idle connections: what comes on one meanwhile, nobody reads, and the
    # client sends it again.
    next if $status eq 'cut';
    $exact{$upstream}{$status} += $count;
    $exact{$upstream}{$peer} += $count if $status eq 'HIT';
}
# Each of these began a session.
$exact{$_}{'learned/html'} = $exact{$_}{NEW} for qw/ query own /;
my $expected = join ', ', map { in_words($exact{$_}) } @upstreams;
my $counted;
eventually(sub {
    my $now = sums();
    $counted = join ', ', map { added($settled, $now, $_) } @upstreams;
    return $counted eq $expected;
});
is($counted, $expected, 'with a reload alone, each request is counted once');
like($expected, qr/127\.0\.0\.1:\d+=\d+/, 'hits of servers among them');

# Requests of all kinds, some at a time, until each has its answer. Returns how many answers there were
# of each kind, and how many requests may be counted or not as their worker was killed.
sub client {
    my ($n, $requests) = @_;
    $requests //= REQUESTS;
    my (%seen, %known);
    my @waiting = map { [$upstreams[$_ % 3], $_] } 1 .. $requests;
    while (@waiting) {
        my $socket = http('', start => 1) or next;
        local $SIG{PIPE} = 'IGNORE';
        my $is_open = 1;
        while ($is_open && @waiting) {
            my @some = @waiting[0 .. ($#waiting < 39 ? $#waiting : 39)];
            my $sent = $socket->print(join '', map { request($n, \%known, @$_) } @some);
            my ($text, $answered, $is_closing) = ('', 0, 0);
            while ($answered < @some && !$is_closing) {
                if (!IO::Select->new($socket)->can_read(60) || !sysread $socket, $text, 65536, length $text) {
                    $is_open = 0;
                    last;
                }
                while ($text =~ s/^(HTTP\/1\.1 .*?\r\n\r\n)//s) {
                    my ($head) = ($1);
                    my ($length) = $head =~ /^Content-Length: (\d+)/mi;
                    if (length $text < ($length // 0)) {
                        $text = $head . $text;
                        last;
                    }
                    my $body = substr $text, 0, $length // 0, '';
                    my ($upstream) = @{ $some[$answered++] };
                    my ($status, $peer) = header('X-Seen', $head) =~ /^(\S+) ?(\S*)/;
                    # What the body hands out, the header does not know yet.
                    $status = 'NEW' if $status eq 'NONE' && $body =~ /sid=/;
                    $seen{"$upstream $status $peer"}++;
                    remember(\%known, $upstream, $head, $body);
                    # What comes behind it, nginx does not read.
                    $is_closing = 1 if $head =~ /^Connection: close/mi;
                }
            }
            splice @waiting, 0, $answered;
            count("$dir/answers", $answered);
            if (!$is_open && !$is_closing) {
                # Those that the worker had, and the last that was answered, but may not be counted.
                my %cut;
                my $from = $answered ? $answered - 1 : 0;
                $seen{"$_->[0] cut -"}++ for @some[$from .. $#some];
            }
            $is_open = 0 if $is_closing;
        }
    }
    return join ';', map { "$_ $seen{$_}" } sort keys %seen;
}

# One with a session that is known, with one that nobody knows, without any, or one that gets one.
sub request {
    my ($n, $known, $upstream, $number) = @_;
    my $kind = $number % 7;
    my @ids = keys %{ $known->{$upstream} };
    my ($path, $header) = ('', '');
    if ($upstream eq 'cookie') {
        my $value = $kind < 4 && @ids ? $ids[$number % @ids] : $kind == 5 ? 'nobody' : '';
        $header = "Cookie: route=$value\r\n" if $value;
    } elsif ($kind == 0) {
        $header = "X-Page: <a href=?sid=$n-$number>\r\n";
    } elsif ($kind < 5) {
        my $id = @ids ? $ids[$number % @ids] : 'none';
        $path = "?sid=$id";
    } elsif ($kind == 5) {
        $path = '?sid=nobody';
    } else {
        $path = '404';
    }
    return "GET /$upstream/$path HTTP/1.1\r\nHost: localhost\r\n$header\r\n";
}

# Notes a few sessions that the answer has begun.
sub remember {
    my ($known, $upstream, $head, $body) = @_;
    my $ids = $known->{$upstream} //= {};
    return if keys %$ids > 20;
    $ids->{$1} = 1 if $head =~ /^Set-Cookie: route=(\w+)/mi || $body =~ /sid=([\w-]+)/;
}
