#!/usr/bin/perl

# Tests for sticky_statsd: that the counters which a server is sent add up to those of the metrics,
# over reloads and killed workers, and that a server which is not there is in nobody's way; without
# them, curves drawn from statsd are not what has happened.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;

use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Socket qw/ SOCK_DGRAM SOL_SOCKET SO_RCVBUF /;

use constant LARGEST_PACKET => 1432;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(28);

my $statsd = bound(0);
my $port = $statsd->sockport();
my $servers = join ' ', map { "server 127.0.0.1:$_;" } 20001 .. 20040;
my $conf = sub {
    my ($directive) = @_;
    return <<"EOC";

%%TEST_GLOBALS%%

daemon off;

worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    $directive

    upstream shop.example {
        sticky mode=query zone=z:64k;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream cookie {
        sticky;
        server 127.0.0.1:8081;
    }

    upstream "a:1|c|\@0.1#b" {
        sticky;
        server 127.0.0.1:8081;
    }

    upstream large {
        sticky mode=query zone=z;
        $servers
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Worker  \$pid  always;

        location / {
            proxy_pass http://shop.example;
        }

        location /cookie {
            proxy_pass http://cookie/;
        }

        location /sticky { sticky_status; }
    }
}

EOC
};

# What was counted before anything was sent is not sent.

$t->write_file_expand('nginx.conf', $conf->(''));
apart($t);
$t->run();
get('/', 'X-Page' => link_to('a'));
get('/?sid=a') for 1 .. 5;
my $before = settled();
is($before->{'upstream.shop_example.requests.HIT'}, 5, 'counted before');

my (%sums, %gauges, @packets);
ok(reload_with($t, $conf->("sticky_statsd 127.0.0.1:$port prefix=edge.nginx;")), 'reload: a server');
get('/?sid=a') for 1 .. 3;
get('/cookie') for 1 .. 2;
get('/?sid=nobody');
get('/', 'X-Page' => link_to('b'));
is(missing($before), '', 'what was counted since is sent');
is($sums{'upstream.shop_example.requests.HIT'}, 3, 'hits');
is($sums{'upstream.cookie.requests.NEW'}, 2, 'of the other upstream');
is($sums{'upstream.shop_example.sessions_learned.html'}, 1, 'sessions learned');

# How it is sent.

ok(eventually(sub {
    receive();
    return grep { /^upstream\.large\.server\.127_0_0_1_20040\.draining$/ } keys %gauges;
}), 'gauges, of many servers');
is($gauges{'upstream.shop_example.server.127_0_0_1_' . port(8081) . '.draining'}, 0, 'not draining');
cmp_ok($gauges{'zone.z.capacity_sessions'}, '>', 1000, 'capacity of the zone');
is($gauges{build_info}, 1, 'build_info');
ok(eventually(sub { receive(); grep { /^upstream\.a_1_c__0_1_b\./ } keys %gauges }), 'a name made safe');
my @odd = grep { !/^edge\.nginx(?:\.[A-Za-z0-9_-]+)+:\d+\|[cg]$/ } map { split /\n/ } @packets;
is_deeply(\@odd, [], 'nothing but lines of statsd');
my @large = grep { length > LARGEST_PACKET } @packets;
is(scalar @large, 0, 'no packet is too large');

# Counters alone are sent when they have grown.

missing($before);
my $counters = sub { scalar grep { /\|c$/ } map { split /\n/ } @packets };
my $known = $counters->();
select undef, undef, undef, 6;
receive();
is($counters->(), $known, 'what has not grown is not sent');

# Over a reload, and over the death of workers.

get('/?sid=a') for 1 .. 4;
$t->reload();
get('/?sid=a') for 1 .. 20;
ok(reload_with($t, $conf->("sticky_statsd 127.0.0.1:$port prefix=edge.nginx;")), 'two reloads');
get('/?sid=a') for 1 .. 3;
is(missing($before), '', 'nothing is lost or comes twice');

$t->todo_alerts();
my @old = workers($t);
get('/?sid=a') for 1 .. 4;
kill 'KILL', @old;
ok(eventually(sub { !(grep { kill 0, $_ } @old) && workers($t) == 2 }), 'both workers die');
ok(eventually(sub { code(get('/?sid=a')) eq 200 }), 'others answer');
is(missing($before), '', 'nothing is lost or comes twice');
is($sums{'upstream.shop_example.server.127_0_0_1_' . home() . '.hits'},
    $sums{'upstream.shop_example.requests.HIT'}, 'hits of the server');

# A server that is not there.

my $complaint = qr/\[error\].*sticky: statsd server 127\.0\.0\.1:$port is not reached, counters are sent later/;
close $statsd;
ok(eventually(sub { $t->read_file('error.log') =~ $complaint }), 'a server that is gone');
my @replies = map { code(get('/?sid=a')) } 1 .. 10;
is(join(' ', @replies), join(' ', (200) x 10), 'requests do not mind');
select undef, undef, undef, 3;
my @complaints = $t->read_file('error.log') =~ /$complaint/g;
is(scalar @complaints, 1, 'said once');
$statsd = bound($port);
is(missing($before), '', 'what was counted meanwhile is sent when it is back');

# A socket of the file system.

my $path = $t->testdir() . '/statsd.sock';
my $socket = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $path) or die "no socket: $!";
chmod 0777, $path;
ok(reload_with($t, $conf->("sticky_statsd unix:$path prefix=edge.nginx;")), 'reload: a socket of a path');
$statsd = $socket;
get('/?sid=a') for 1 .. 3;
is(missing($before), '', 'it is sent there');

# What is left when nginx ends.

get('/?sid=a') for 1 .. 7;
my $counted = settled();
$t->stop();
receive();
is($sums{'upstream.shop_example.requests.HIT'},
    $counted->{'upstream.shop_example.requests.HIT'} - $before->{'upstream.shop_example.requests.HIT'},
    'the rest is sent when nginx ends');
is(grep({ /\|c$/ && !/:[1-9]\d*\|/ } map { split /\n/ } @packets), 0, 'no counter is 0');

# Where the session is.
sub home { return port(8080 + { A => 1, B => 2 }->{ served_by(get('/?sid=a')) // 'A' }) }

# A server of statsd.
sub bound {
    my ($at) = @_;
    my $socket = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1', LocalPort => $at)
        or die "no socket: $!";
    $socket->setsockopt(SOL_SOCKET, SO_RCVBUF, 1 << 20);
    return $socket;
}

# Reads what has come.
sub receive {
    my $select = IO::Select->new($statsd);
    while ($select->can_read(0)) {
        defined $statsd->recv(my $packet, 65536) or last;
        push @packets, $packet;
        for (split /\n/, $packet) {
            my ($name, $value, $kind) = /^edge\.nginx\.(.*):(\d+)\|([cg])$/ or next;
            $kind eq 'c' ? ($sums{$name} += $value) : ($gauges{$name} = $value);
        }
    }
}

# The counters of the metrics, by their names in statsd.
sub counted {
    my %counted;
    my $safe = sub { $_[0] =~ s/[^A-Za-z0-9_-]/_/gr };
    for (split /\n/, http_content(get('/sticky/metrics'))) {
        my ($family, $labels, $value) = /^nginx_sticky_(\w+)\{(.*)\} (\d+)$/ or next;
        my %labels = $labels =~ /(\w+)="((?:[^"\\]|\\.)*)"/g;
        my $upstream = 'upstream.' . $safe->($labels{upstream} // '');
        my $name = {
            requests_total => "$upstream.requests." . ($labels{result} // ''),
            sessions_learned_total => "$upstream.sessions_learned." . ($labels{source} // ''),
            bodies_total => "$upstream.bodies." . join('.', map { $_ // '' } @labels{qw/ source outcome /}),
            body_bytes_total => "$upstream.body_bytes",
            server_hits_total => "$upstream.server." . $safe->($labels{server} // '') . '.hits',
            sessions_evicted_total => 'zone.' . $safe->($labels{zone} // '') . '.evicted.' . ($labels{state} // ''),
        }->{$family} // next;
        $counted{$name} = $value;
    }
    return \%counted;
}

# The same when the last requests are counted, which is a moment after their answers.
sub settled {
    my ($last, $now) = ('', '');
    my $counted;
    eventually(sub {
        $last = $now;
        select undef, undef, undef, 0.2;
        $counted = counted();
        $now = join ' ', map { "$_=$counted->{$_}" } sort keys %$counted;
        return $now eq $last;
    });
    return $counted;
}

# What was counted since and differs from the sums of what was sent: in the end, nothing.
sub missing {
    my ($since) = @_;
    my $difference;
    eventually(sub {
        my $counted = counted();
        receive();
        my %all = (%$counted, %sums);
        $difference = join ' ', map {
            my $wanted = ($counted->{$_} // 0) - ($since->{$_} // 0);
            my $sent = $sums{$_} // 0;
            $wanted == $sent ? () : "$_: $sent of $wanted";
        } grep { !/sessions_moved|sessions_forgotten|state_errors/ } sort keys %all;
        return $difference eq '';
    });
    return $difference;
}
