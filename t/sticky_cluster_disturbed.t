#!/usr/bin/perl

# Tests for sticky_cluster while sessions are learned and things go wrong: the worker that speaks to the
# store is killed, or stands still and goes on later, configurations are reloaded, the store is killed
# and comes back empty, or stands still. After each, all nodes know all. A cluster with another prefix
# in the same store hears nothing of it. Without that, some moment would lose what is learned in it.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Cluster;
use Sticky::Pages;
use Sticky::Store;

plan(skip_all => Sticky::Store::missing()) if !Sticky::Store::program();

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(52);
apart($t);
my $store = Sticky::Store->new($t);
my $first = node($t, 'a', 8091, store => $store);
my $second = node($t, 'b', 8092, store => $store, workers => 1);
my $other = node($t, 'x', 8093, store => $store, cluster => 'prefix=sticky:x:');
my $neighbour = node($t, 'y', 8094, store => $store, cluster => 'prefix=sticky:x:');
my (%home, %others);
my $number = 0;

for my $round (1 .. 3) {
    disturb("round $round: the worker that speaks to the store is killed", sub { kill 'KILL', speaker($first) });
    disturb("round $round: it stands still, and goes on when another one has gone on", sub {
        my $speaker = speaker($first);
        kill 'STOP', $speaker;
        # The other worker takes the lease, while that one has taken a connection at most.
        ok(eventually(sub { (grep { $_ != $speaker } speakers($first)) && 1 }), "round $round: another one has begun");
        learn(20);
        kill 'CONT', $speaker;
    });
    disturb("round $round: reloaded, both at once", sub {
        kill 'HUP', $first->pid(), $second->pid();
    });
    disturb("round $round: the store is killed, and comes back empty", sub {
        $store->kill('KILL');
        learn(20);
        $store->start();
    });
    disturb("round $round: the store stands still, and a node is reloaded meanwhile", sub {
        $store->pause();
        learn(20);
        kill 'HUP', $second->pid();
        learn(20);
        $store->resume();
    });
}
ok($other->heard_by($neighbour), 'the other cluster goes on as well');
is(strayed(\%others, $other, $neighbour), 0, 'and knows what it has learned');
is((grep { $other->visit("/?sid=$_") =~ / HIT$/ } keys %home), 0, 'but nothing of this one');
my $failures = join '', map { $_->failures() } $first, $second, $other, $neighbour;
is($failures, '', 'no process has failed');
$_->stop() for $first, $second, $other, $neighbour;
undef $_ for $first, $second, $other, $neighbour, $store;

# The workers that have threads: the one that speaks to the store, and maybe one that stands still.
sub speakers {
    my ($node) = @_;
    return grep { my @threads = glob "/proc/$_/task/*"; @threads > 1 } $node->workers();
}

sub speaker {
    my ($node) = @_;
    return (eventually(sub { my @all = speakers($node); @all == 1 && \@all }) || [])->[0];
}

# Has so many sessions learned at each of the two. One whose answer is lost is nobody's.
sub learn {
    my ($count) = @_;
    for my $node ($first, $second) {
        for (1 .. $count) {
            my $id = 'disturbed' . $number++;
            my $home = $node->hand_out($id);
            $home{$id} = $home if $home ne '';
        }
    }
    my $id = 'other' . $number++;
    my $home = $other->hand_out($id);
    $others{$id} = $home if $home ne '';
    return;
}

sub disturb {
    my ($what, $action) = @_;
    learn(10);
    $action->();
    learn(10);
    my @heard = ($first->heard_by($second), $second->heard_by($first));
    is("@heard", '1 1', "$what: they hear of each other");
    my $astray;
    # Also what was learned by a worker that was killed while it sent.
    eventually(sub { !($astray = strayed(\%home, $first, $second)) });
    is($astray, 0, "$what: none astray");
    is(() = $second->log() =~ /panicked/g, 0, "$what: no panic");
    return;
}
