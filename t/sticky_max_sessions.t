#!/usr/bin/perl

# Tests for max_sessions: a server that has so many sessions gets no new ones in any worker, as long
# as another one has room; without it, one server gets more sessions than its memory holds while
# others have room.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use JSON::PP qw/ decode_json /;
use Sticky::Nginx;
use Sticky::Pages;
use Sticky::Traffic;

# The limit may be passed by so many.
use constant BESIDE => 100;

my %balancer = (
    round_robin => '',
    least_conn  => 'least_conn;',
    hash        => 'hash $arg_n;',
    random_two  => 'random two least_conn;',
    in_zone     => 'zone in_zone 256k;',
);
my @balancers = sort keys %balancer;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite upstream_zone upstream_least_conn
    upstream_hash upstream_random/)->plan(3 * @balancers + 33);

my $learn = 'sticky learn create=$http_x_session lookup=$arg_sid';

my $conf = sub {
    my (%change) = (expires => '1h', @_);
    my $balanced = join '', map { <<"EOC" } @balancers;
    upstream $_ {
        $balancer{$_}
        sticky mode=query;
        server 127.0.0.1:8081 max_sessions=5;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }
EOC
    return <<"EOC";

%%TEST_GLOBALS%%

daemon off;
worker_processes 4;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

$balanced

    upstream many {
        sticky mode=query zone=many:1m max_sessions=500;
        server 127.0.0.1:8081 max_sessions=300;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083 max_sessions=100000;
    }

    upstream all {
        sticky mode=query max_sessions=5;
        @{[ three_servers() ]}
    }

    upstream request {
        sticky mode=query learn=request;
        server 127.0.0.1:8081 max_sessions=5;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream expiring {
        sticky mode=query expires=$change{expires};
        server 127.0.0.1:8081 max_sessions=5;
        server 127.0.0.1:8082;
    }

    upstream ending {
        sticky mode=query forget=\$arg_end;
        server 127.0.0.1:8081 max_sessions=5;
        server 127.0.0.1:8082;
    }

    upstream backup {
        sticky mode=query;
        server 127.0.0.1:8081 max_sessions=5;
        server 127.0.0.1:8082 backup max_sessions=5;
        server 127.0.0.1:8083 backup;
    }

    upstream beside {
        sticky mode=query max_sessions=5;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082 max_sessions=5000;
        server 127.0.0.1:8083 max_sessions=500;
    }

    upstream failing {
        sticky mode=query;
        server 127.0.0.1:8081 max_sessions=5;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream one {
        sticky mode=query zone=both:64k share=both;
        server 127.0.0.1:8081;
    }

    upstream other {
        sticky mode=query zone=both share=both;
        server 127.0.0.1:8081 max_sessions=5;
        server 127.0.0.1:8082;
    }

    upstream third {
        zone third 256k;
        sticky mode=query zone=both share=both;
        server 127.0.0.1:8081 max_sessions=5;
        server 127.0.0.1:8082;
    }

    upstream learned {
        $learn zone=learned:64k max_sessions=5;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082 max_sessions=1000;
    }

    upstream learned_too {
        $learn zone=learned_too:64k;
        server 127.0.0.1:8081 max_sessions=5;
        server 127.0.0.1:8082;
    }

    server {
        # Each worker gets its part of the connections.
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;
        add_header   X-Status  \$sticky_status  always;
        add_header   X-Worker  \$pid            always;

        sticky_drain_on \$upstream_http_link;

        location ~ ^/at/(?<upstream>\\w+)/ {
            rewrite ^/at/\\w+(/.*) \$1 break;
            proxy_pass http://\$upstream;
            proxy_next_upstream error http_500;
        }

        location /sticky { sticky_status; }
    }
}

EOC
};

$t->write_file_expand('nginx.conf', $conf->());
apart($t);
$t->run();

my $n = 0;

for my $upstream (@balancers) {
    my @ids = filled('A', $upstream);
    is(news($upstream) =~ tr/A//, 0, "$upstream: no new sessions");
    is(where("/at/$upstream/?sid=$ids[0]"), 'A' x 6, 'its own stay');
    is(code(get("/at/$upstream/?n=1")), 200, 'and others are served');
}

my $server = server('round_robin', 8081);
is_deeply([@$server{qw/ max_sessions at_limit /}], [5, JSON::PP::true], 'JSON says that it is full');
$server = server('round_robin', 8082);
is_deeply([@$server{qw/ max_sessions at_limit /}], [undef, undef], 'and nothing of one without a limit');
like(get('/sticky?upstream=round_robin'), qr/at its limit of 5</, 'the page says so');
my $full = port(8081);
like(get('/sticky/metrics'), qr/^nginx_sticky_server_max_sessions\{.*:$full"\} 5$/m, 'and metrics');

# Many at once, in all workers: some 800 to each, if there were no limits.

my @outputs = map {
    my $prefix = "visitor$_-";
    in_background(sub { my %home = hand_out('/at/many/', $prefix, 600); return scalar keys %home });
} 1 .. 4;
is(join(' ', map { outcome($_) } @outputs), '600 600 600 600', '2,400 sessions begin');
my %count = counted_sessions('many', 2400);
cmp_ok($count{A}, '>=', 300, "A has the sessions that it may: $count{A}");
cmp_ok($count{A}, '<=', 300 + BESIDE, 'and hardly more');
cmp_ok($count{B}, '>=', 500, "B has those of the directive: $count{B}");
cmp_ok($count{B}, '<=', 500 + BESIDE, 'and hardly more');
my %workers = map { header('X-Worker', get('/at/many/')) => 1 } 1 .. 60;
cmp_ok(scalar keys %workers, '>', 1, 'in several workers');

# All at their limit.

filled($_, 'all') for qw/ A B C /;
my $all = news('all');
ok($all =~ /A/ && $all =~ /B/ && $all =~ /C/, 'all at their limit: as if there were none') or diag($all);
my %homes = hand_out('/at/all/', 'more', 240);
is(scalar(grep { /^[ABC]$/ } values %homes), 240, 'new sessions begin');
my %back = bring_back('/at/all/', sort keys %homes);
is(differing(\%homes, \%back), 0, 'and stay');

# Sessions that begin with a request.

my @begun;
for (1 .. 100) {
    last if @begun == 5;
    my $id = 'begun' . $n++;
    push @begun, $id if served_by(get("/at/request/?sid=$id")) eq 'A';
}
unlike(join('', map { served_by(get("/at/request/?sid=made" . $n++)) } 1 .. 30), qr/A/,
    'learn=request: no new sessions');
is(where("/at/request/?sid=$begun[0]"), 'A' x 6, 'its own stay');

# Sessions that end.

my @ending = filled('A', 'ending');
is(news('ending') =~ tr/A//, 0, 'a full server');
get("/at/ending/?sid=$_&end=1") for @ending[0, 1];
ok(eventually(sub { news('ending') =~ /A/ }), 'sessions that the application ends make room');
filled('A', 'ending', 2);
is(news('ending') =~ tr/A//, 0, 'for as many');

# Backup servers.

my @own = filled('A', 'backup');
like(news('backup'), qr/^[BC]{30}$/, 'a full server and two backup servers: these');
filled('B', 'backup');
is(news('backup'), 'C' x 30, 'and one of them is full: the other');
is(where("/at/backup/?sid=$own[0]"), 'A' x 6, 'the first keeps its own');

# Drains.

filled('A', 'beside');
my ($drained) = filled('B', 'beside', 1);
get("/at/beside/?sid=$drained", 'X-Link' => 1);
is(news('beside'), 'C' x 30, 'one full, one drained: the third');
filled('C', 'beside', 500);
my $rest = news('beside');
ok($rest =~ /A/ && $rest =~ /C/ && $rest !~ /B/, 'two full, one drained: the two') or diag($rest);

# A server that fails.

filled('A', 'failing');
my ($out) = filled('B', 'failing', 1);
get("/at/failing/?sid=$out", 'X-Link' => 1);
$t->write_file('failed_C', '');
is(join('', map { served_by(get('/at/failing/')) } 1 .. 5), 'A' x 5,
    'one drained, one failed: the full one, rather than the drained');
unlink $t->testdir() . '/failed_C';

# A share.

get('/at/one/', 'X-Page' => link_to('shared' . $n++)) for 1 .. 5;
is(news($_) =~ tr/A//, 0, 'sessions that begin in another upstream of the share count')
    for qw/ other third /;

# Sessions by variables.

for my $upstream (qw/ learned learned_too /) {
    filled('A', $upstream);
    is(news($upstream) =~ tr/A//, 0, "sticky $upstream: no new sessions");
}

# After a reload.

my @expiring = filled('A', 'expiring');
my %old = map { $_ => 1 } workers($t);
ok(reload_with($t, $conf->()), 'nginx reloads');
is(news('expiring') =~ tr/A//, 0, 'it is full still');
is(where("/at/expiring/?sid=$expiring[0]"), 'A' x 6, 'and keeps its own');
ok(reload_with($t, $conf->(expires => '1s')), 'sessions expire from now on');
ok(eventually(sub { news('expiring') =~ /A/ }), 'those that have expired make room');

# Servers of new visitors.
sub news {
    my ($upstream) = @_;
    return join '', map { served_by(get("/at/$upstream/?n=" . $n++)) } 1 .. 30;
}

# Begins sessions until the server has begun so many.
sub filled {
    my ($server, $upstream, $count) = (@_, 5);
    my @ids;
    # While sessions are counted, those that begin may count twice for a moment.
    eventually(sub {
        for (1 .. 50) {
            return 1 if @ids == $count;
            my $id = 'session' . $n++;
            my $reply = get("/at/$upstream/?n=$n", 'X-Page' => link_to($id), 'X-Session' => $id);
            push @ids, $id if served_by($reply) eq $server;
        }
        return 0;
    }) or die "not $count sessions at $server in upstream $upstream, but " . @ids;
    return @ids;
}

sub server {
    my ($upstream, $port) = @_;
    my $report = decode_json((split /\r\n\r\n/, get('/sticky/json'), 2)[1]);
    my ($found) = grep { $_->{name} eq $upstream } @{ $report->{upstreams} };
    my ($server) = grep { $_->{name} eq '127.0.0.1:' . port($port) } @{ $found->{servers} };
    return $server;
}

# The sessions of each server, once so many are counted.
sub counted_sessions {
    my ($upstream, $sum) = @_;
    my %count;
    eventually(sub {
        my %port = (A => 8081, B => 8082, C => 8083);
        for my $letter (keys %port) {
            my $sessions = server($upstream, $port{$letter})->{sessions};
            $count{$letter} = $sessions ? $sessions->{in_use} + $sessions->{unused} : 0;
        }
        return $count{A} + $count{B} + $count{C} == $sum;
    });
    return %count;
}
