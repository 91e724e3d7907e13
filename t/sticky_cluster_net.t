#!/usr/bin/perl

# Tests for sticky_cluster where three nginx and the store are on hosts of their own: lines are cut and
# mended, the store is restarted empty, a node is killed, comes late, is upgraded, also while there is
# no way to the store. Whenever a request comes later than the lag, it must find its session: without
# that, clients begin anew after each disturbance.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Cluster;
use Sticky::Net;
use Sticky::Pages;
use Sticky::Store;

plan(skip_all => Sticky::Store::missing()) if !Sticky::Store::program();
my $why = Sticky::Net::enter();
plan(skip_all => $why) if defined $why;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(52);
my $net = Sticky::Net->new(front => '10.77.0', back => '10.88.0');
my $vault = $net->host('store', 2);
my %host = map { $_ => $net->host($_, ord) } qw/ a b c d /;
apart($t, '10.77.0.1');

my $port = port(8070);
my $store = Sticky::Store->new($t, host => $vault, port => $port, bind => '0.0.0.0',
    'protected-mode' => 'no');
my $begin = sub {
    my ($name, %more) = @_;
    return node($t, $name, 8091, host => $host{$name}, servers => '10.77.0.1', daemon => 1,
        url => 'redis://' . $vault->address('back') . ":$port", %more);
};
my %node = map { $_ => $begin->($_) } qw/ a b c /;
my @nodes = @node{qw/ a b c /};

my %home;
my $agree = sub { agree(\%home, $_[0], @nodes) };

$_->hand_out_to(\%home, $_->{name}, 20) for @nodes;
$agree->('learned at each');

# The store's line is cut.

$net->cut($vault, 'back');
$_->hand_out_to(\%home, "cut-$_->{name}", 20) for @nodes;
ok(eventually(sub { !grep { $_->log() !~ /the store cannot be used/ } @nodes }), 'the store is cut off: all notice');
$_->hand_out_to(\%home, "off-$_->{name}", 20) for @nodes;
for my $node (@nodes) {
    my %own = map { $_ => $home{$_} } grep { /-$node->{name}/ } keys %home;
    is(strayed(\%own, $node), 0, "the store is cut off: $node->{name} goes on");
}
$net->mend($vault, 'back');
$agree->('the store is back');

# The line of one node.

$net->cut($host{b}, 'back');
$_->hand_out_to(\%home, "alone-$_->{name}", 20) for @nodes;
ok($node{a}->heard_by($node{c}), 'b is cut off: a and c are not');
ok(eventually(sub { 2 <= (() = $node{b}->log() =~ /the store cannot be used/g) }), 'b is cut off: it notices');
$net->mend($host{b}, 'back');
$agree->('b is back');

# A store that has lost all.

$store->kill('KILL');
$_->hand_out_to(\%home, "killed-$_->{name}", 20) for @nodes;
$store->start();
$agree->('the store is empty');
ok(eventually(sub { $store->ask('EXISTS', 'sticky:snapshot') }), 'the store is empty: a snapshot is written');
$node{d} = $begin->('d');
push @nodes, $node{d};
is(strayed(\%home, $node{d}), 0, 'a node that comes late has all at once');
$node{d}->hand_out_to(\%home, 'late', 20);
$agree->('four');
pop @nodes;
$node{d}->stop();

# A node is killed, and another one begins in its place.

$node{c}->hand_out_to(\%home, 'last', 20);
ok($node{c}->heard_by(@node{qw/ a b /}), 'c is heard');
$node{c}->stop('KILL');
$node{a}->hand_out_to(\%home, 'killed', 20);
ok($node{a}->heard_by($node{b}), 'c is killed: a is heard');
is(strayed(\%home, @node{qw/ a b /}), 0, 'c is killed: what it had learned is known');
$node{c}->start();
is(strayed(\%home, $node{c}), 0, 'c begins again: it has all at once');

# While the store is cut off, one is killed and begins with nothing, one is upgraded.

$net->cut($vault, 'back');
$node{c}->stop('KILL');
$node{a}->hand_out_to(\%home, 'dark', 20);
$node{c}->configure(cluster => 'wait=500ms')->start();
$node{c}->hand_out_to(\%home, 'begun', 20);
my $can_upgrade = $node{b}->can_upgrade();
SKIP: {
    skip 'this nginx cannot start itself again', 1 if !$can_upgrade;
    my $between = sub { $node{b}->hand_out_to(\%home, "dark-$_[0]", 20) };
    ok($node{b}->upgrade($between), 'no store: b is upgraded');
}
$node{b}->hand_out_to(\%home, 'upgraded', 20);
$net->mend($vault, 'back');
$agree->('the store is back, with other nodes');

# One is upgraded while all goes well.

SKIP: {
    skip 'this nginx cannot start itself again', 9 if !$can_upgrade;
    my $between = sub {
        my ($which) = @_;
        $_->hand_out_to(\%home, "$which-$_->{name}", 20) for @nodes;
        $agree->("upgraded, $which");
    };
    ok($node{a}->upgrade($between), 'a is upgraded');
}
$agree->('upgraded');

is(join('', map { $_->failures() } values %node), '', 'no process has failed');
$_->stop() for @nodes;
undef $_ for @nodes, values %node, $begin, $agree, $store;
