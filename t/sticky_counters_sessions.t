#!/usr/bin/perl

# Tests for the number of sessions of each server: counted when somebody asks, in a thread of whichever
# worker, and by the sweep; without it, a server is replaced while it still has sessions, or never.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Counters;
use Sticky::Nginx;
use Sticky::Pages;
use Sticky::Traffic;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite map /)->plan(14);

my $conf = sub {
    my (%change) = (workers => 2, servers => '8081 8082', master => 'on', @_);
    my $servers = join ' ', map { "server 127.0.0.1:$_;" } split ' ', $change{servers};
    return <<"EOC";

%%TEST_GLOBALS%%

daemon off;
master_process $change{master};

worker_processes $change{workers};

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    upstream u {
        sticky mode=query zone=z:64k;
        $servers
    }

    upstream one {
        sticky mode=query zone=z share=both;
        server 127.0.0.1:8081;
    }

    upstream other {
        sticky mode=query zone=z share=both;
        server 127.0.0.1:8081;
        server 127.0.0.1:8083;
    }

    # Nothing is ever learned there: its memory does not exist.
    upstream unused {
        sticky mode=query zone=huge:64m;
        server 127.0.0.1:8081;
    }

    upstream cookie {
        sticky;
        server 127.0.0.1:8081;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  \$sticky_status  always;

        location / {
            proxy_pass http://u;
        }

        location /sticky { sticky_status; }

        location ~ ^/to/(\\w+)\$ { proxy_pass http://\$1/?\$args; }
    }
}

EOC
};

$t->write_file_expand('nginx.conf', $conf->());
apart($t);
$t->run();

my %at = map { $_ => '127.0.0.1:' . port($_) } 8081 .. 8083;
my %home = hand_out('/', 'id', 100);
my %letter = (A => 8081, B => 8082, C => 8083);
my %all = map { $_ => 0 } 8081, 8082;
$all{ $letter{$_} }++ for values %home;
my @used = map { "id$_" } 1 .. 30;
bring_back('/', @used);
my %used = map { $_ => 0 } 8081, 8082;
$used{ $letter{ $home{$_} } }++ for @used;

is(eventually_sessions('u', 8081, $used{8081}, $all{8081} - $used{8081}), 1, 'sessions in use and not');
is(eventually_sessions('u', 8082, $used{8082}, $all{8082} - $used{8082}), 1, 'of the other server, too');
my $seen = sums()->{u};
cmp_ok(abs(time() - $seen->{"$at{8081}/last_use"}), '<=', 30, 'when the last was used');
cmp_ok(abs(time() - $seen->{"$at{8081}/counted"}), '<=', 30, 'when they were counted');
is(sums()->{unused}{"$at{8081}/in_use"}, 0, 'a zone in which there is nothing');
is(sums()->{cookie}{"$at{8081}/in_use"}, undef, 'with a cookie there is nothing to count');

# At most once in two seconds, however many ask, and by a sweep each second.

my @times = map { sums()->{u}{"$at{8081}/counted"} } 1 .. 50;
my %distinct = map { $_ => 1 } @times;
cmp_ok(scalar keys %distinct, '<=', 3 + 1.5 * ($times[-1] - $times[0]), 'not at every look');

# A share has its sessions in all of its upstreams.

get('/to/other', 'X-Page' => link_to('shared'));
get('/to/other?sid=shared');
my ($one, $two);
ok(eventually(sub {
    my $sums = sums();
    ($one, $two) = map { $sums->{$_}{"$at{8081}/in_use"} // 0 } qw/ one other /;
    my $third = $sums->{other}{"$at{8083}/in_use"} // 0;
    return $one == $two && $two + $third == 1;
}), 'in a share, a server has the sessions of all');

# After a reload without a server, with another number of workers, and when workers die.

ok(reload_with($t, $conf->(servers => '8082 8083', workers => 4)), 'a server has left');
is(eventually_sessions('u', 8082, $used{8082}, $all{8082} - $used{8082}), 1, 'the one that stays');
is(eventually_sessions('u', 8083, 0, 0), 1, 'a new one has none');
my %before = map { $_ => 1 } workers($t);
kill 'KILL', $_ for keys %before;
ok(eventually(sub { 4 <= grep { !$before{$_} } workers($t) }), 'all workers are killed');
my $since = time();
ok(eventually(sub { (sums()->{u}{"$at{8082}/counted"} // 0) > $since }), 'others count');
is(eventually_sessions('u', 8082, $used{8082}, $all{8082} - $used{8082}), 1, 'the same');
$t->todo_alerts();

# Whether a server has so many sessions once they are counted anew.
sub eventually_sessions {
    my ($upstream, $port, $in_use, $unused) = @_;
    my $words = '';
    my $ok = eventually(sub {
        my $sums = sums()->{$upstream};
        $words = join ' ', map { $sums->{"$at{$port}/$_"} // '-' } qw/ in_use unused /;
        return $words eq "$in_use $unused";
    });
    diag("$words, not $in_use $unused") if !$ok;
    return $ok ? 1 : $words;
}
