#!/usr/bin/perl

# Tests for sticky_cluster where everything takes 200 ms to the store and 200 ms back: no request waits
# for that, and whoever comes later than the lag finds its session, also while a node is killed, comes
# late, and is upgraded. Without it, a store that is far away slows clients, or nodes take it for one
# that is away.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Cluster;
use Sticky::Link;
use Sticky::Net;
use Sticky::Pages;
use Sticky::Store;

use Time::HiRes qw/ sleep time /;

# Seconds, each way.
use constant DELAY => 0.2;

plan(skip_all => Sticky::Store::missing()) if !Sticky::Store::program();
my $why = Sticky::Net::enter();
plan(skip_all => $why) if defined $why;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(27);
my $net = Sticky::Net->new(front => '10.77.0', back => '10.88.0');
my $vault = $net->host('store', 2);
my %host = map { $_ => $net->host($_, ord) } qw/ a b c d /;
apart($t, '10.77.0.1');

my $store = Sticky::Store->new($t, host => $vault);
my $line = $vault->address('back') . ':' . port(8070);
my $link = Sticky::Link->new($t, listen => $line, to => $store->socket(), prefix => [$vault->prefix()]);
$t->waitforsocket($line) or die "the line did not start\n";
my $begin = sub {
    my ($name, %more) = @_;
    return node($t, $name, 8091, host => $host{$name}, servers => '10.77.0.1', daemon => 1,
        url => "redis://$line", cluster => 'wait=60s', %more);
};
my %node = map { $_ => $begin->($_) } qw/ a b c /;
my @nodes = @node{qw/ a b c /};

my %home;
my $agree = sub { agree(\%home, $_[0], @nodes) };
$_->hand_out_to(\%home, $_->{name}, 20) for @nodes;
$agree->('a quick line');

# The line becomes slow. A request that waited for the store would take 0.4 s: of so many, most would.

$link->delay(DELAY);
my $slow = 0;
for my $number (1 .. 40) {
    for my $node (@nodes) {
        my $id = "slow-$node->{name}$number";
        my $began = time();
        $home{$id} = $node->hand_out($id);
        $slow++ if time() - $began > 0.35;
    }
}
cmp_ok($slow, '<', 60, 'a slow line: requests do not wait for it');
$agree->('a slow line');

# How long it takes until another one knows, in round trips. What is learned may wait for one that is
# under way, at both ends; questions about the store itself, and a snapshot, are asked beside those.
# Median and longest of so many, in the seconds in which such questions are asked, too. On a machine
# that is busy some take longer, but that is no reason for most of them.

my @lags = sort { $a <=> $b } map { lag_of("lag$_") } 1 .. 15;
my ($median, $longest) = map { $_ / (2 * DELAY) } @lags[7, 14];
diag(sprintf 'lag with 200 ms each way: %.2f s at least, %.2f s as a median, %.2f s at most', @lags[0, 7, 14]);
cmp_ok($lags[0], '>', 0.35, 'a slow line: not before it has gone there and back');
cmp_ok($median, '<', 3, 'a slow line: most are known within three round trips');
cmp_ok($longest, '<', 6, 'a slow line: and all within six');

# One comes late.

ok(eventually(sub { $store->ask('EXISTS', 'sticky:snapshot') }), 'a slow line: a snapshot is written');
my $began = time();
$node{d} = $begin->('d');
$node{d}->get('/');
diag(sprintf 'a node with a slow line serves after %.2f s', time() - $began);
is(strayed(\%home, $node{d}), 0, 'a slow line: a node that comes late has all at once');
push @nodes, $node{d};

# One is killed, one is upgraded.

$node{c}->hand_out_to(\%home, 'last', 20);
ok($node{c}->heard_by(@node{qw/ a b d /}), 'a slow line: c is heard');
$node{c}->stop('KILL');
SKIP: {
    skip 'this nginx cannot start itself again', 1 if !$node{b}->can_upgrade();
    my $between = sub {
        my ($which) = @_;
        $_->hand_out_to(\%home, "upgraded-$which-$_->{name}", 20) for @node{qw/ a b d /};
    };
    ok($node{b}->upgrade($between), 'a slow line: b is upgraded');
}
$node{c}->start();
$agree->('c begins again, b is another one');

# And quick again.

$link->delay(0);
$_->hand_out_to(\%home, "quick-$_->{name}", 20) for @nodes;
$agree->('a quick line again');

is(join('', map { $_->failures() } @nodes), '', 'no process has failed');
$_->stop() for @nodes;
undef $_ for @nodes, values %node, $begin, $agree, $link, $store;

# Seconds until b knows what a has learned.
sub lag_of {
    my ($id) = @_;
    my $began = time();
    $home{$id} = $node{a}->hand_out($id);
    eventually(sub { $node{b}->visit("/?sid=$id") eq "$home{$id} HIT" });
    my $lag = time() - $began;
    # At another moment in the second of the next.
    sleep 0.27;
    return $lag;
}
