#!/usr/bin/perl

# Tests for sticky_cluster: two and three nginx that share their sessions through a store, which is
# killed, emptied and slow to come; workers are killed, configurations reloaded, a node comes late.
# Without it, a client that another nginx answers begins anew.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Cluster;
use Sticky::Pages;
use Sticky::Store;

use Time::HiRes qw/ sleep time /;

plan(skip_all => Sticky::Store::missing()) if !Sticky::Store::program();

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(36);
my $dir = $t->testdir();

# While the store is not there yet, a node serves what it learns itself.

apart($t);
my $forget = 'forget=$http_x_forget';
my $store = Sticky::Store->new($t);
$store->kill();
my $first = node($t, 'a', 8091, store => $store, cluster => 'wait=300ms', sticky => $forget);
my $early = $first->hand_out('early');
is($first->visit('/?sid=early'), "$early HIT", 'without a store: learned');
ok(eventually(sub { $first->log() =~ /the store cannot be used/ }), 'the log says that the store is away');
$store->start();
ok(eventually(sub { $first->log() =~ /the store can be used again/ }), 'and that it is back');

my $second = node($t, 'b', 8092, store => $store, sticky => $forget);
is($second->visit('/?sid=early'), "$early HIT", 'a node that begins knows at once what was there');
is($first->visit('/?sid=early'), "$early HIT", 'the first one still does');

# What becomes of sessions.

my %home = (early => $early);
$home{$_} = $first->hand_out($_) for map { "a$_" } 1 .. 30;
$home{$_} = $second->hand_out($_) for map { "b$_" } 1 .. 30;
ok(eventually(sub { !astray($first) }), 'all of both are known at the one');
ok(eventually(sub { !astray($second) }), 'and at the other');

my ($moving) = grep { $home{$_} eq 'A' && /^b/ } sort keys %home;
$t->write_file('closed_A', '');
my $to = $second->visit("/?sid=$moving") =~ /^([BC]) / ? $1 : 'nobody';
unlink "$dir/closed_A";
ok(eventually(sub { $first->visit("/?sid=$moving") eq "$to HIT" }), 'moved at the one, moved at the other');
$home{$moving} = $to;

my ($ending) = grep { $home{$_} eq 'B' } sort keys %home;
$second->get("/?sid=$ending", 'X-Forget' => 1);
delete $home{$ending};
ok(eventually(sub { $first->visit("/?sid=$ending") =~ / MISS$/ }), 'forgotten at the one, forgotten at the other');

# Workers. The one that speaks to the store is among them.

for my $pid ($first->workers()) {
    kill 'KILL', $pid;
    my $id = "killed$pid";
    my ($began, $server) = (time(), '');
    eventually(sub { $server = $first->hand_out($id) });
    $home{$id} = $server;
    ok(eventually(sub { $second->visit("/?sid=$id") eq "$server HIT" }), 'a worker killed: known at the other');
    cmp_ok(time() - $began, '<', 10, 'soon');
}
ok($first->reload(), 'reloaded');
$home{reloaded} = $first->hand_out('reloaded');
ok(eventually(sub { $second->visit('/?sid=reloaded') eq "$home{reloaded} HIT" }), 'and goes on');
$home{back} = $second->hand_out('back');
ok(eventually(sub { $first->visit('/?sid=back') eq "$home{back} HIT" }), 'in both directions');
ok(eventually(sub { !astray($first) }), 'all are known at the one');
ok(eventually(sub { !astray($second) }), 'and at the other');

# A node that comes late reads a snapshot, and the stream behind it.

ok(eventually(sub { $store->ask('EXISTS', 'sticky:snapshot') }), 'a snapshot is written');
my $third = node($t, 'c', 8093, store => $store, sticky => $forget);
is(astray($third), 0, 'a late one knows all as soon as it serves');
like($third->log(), qr/this nginx takes part in a cluster/, 'and says so');
$home{third} = $third->hand_out('third');
ok(eventually(sub { $first->visit('/?sid=third') eq "$home{third} HIT" }), 'what it learns is known');

# The store is killed: each goes on alone.

$store->kill('KILL');
$home{alone1} = $first->hand_out('alone1');
$home{alone2} = $second->hand_out('alone2');
is($first->visit('/?sid=alone1'), "$home{alone1} HIT", 'without the store: learned');
is($second->visit('/?sid=b1'), "$home{b1} HIT", 'known before');
ok(eventually(sub { $second->log() =~ /the store cannot be used/ }), 'one line says that it is away');

# It comes back with nothing: the nodes fill it again.

$store->start();
for my $node ($first, $second, $third) {
    ok(eventually(sub { !astray($node) }), "the store is empty: $node->{name} has all");
}
is(scalar(() = $second->log() =~ /the store cannot be used/g), 1, 'one line');
ok(eventually(sub { $second->log() =~ /the store can be used again/ }), 'one when it is back');
is($third->stop(), 0, 'the third one ends');
$third = node($t, 'd', 8094, store => $store, sticky => $forget);
is(astray($third), 0, 'a new one gets all from it');

# Nobody without the key is heard.

my $last = $store->ask(qw/ XADD sticky:stream * r forged /);
ok(eventually(sub { $first->log() =~ /an entry of the stream is refused/ }), 'forged: refused');
$home{last} = $second->hand_out('last');
ok(eventually(sub { $first->visit('/?sid=last') eq "$home{last} HIT" }), 'what comes behind it is heard');

is($_->stop(), 0, "$_->{name} ends") for $first, $second;

undef $_ for $first, $second, $third, $store;

# How many sessions a node sends elsewhere than where they are.
sub astray {
    my ($node) = @_;
    return scalar grep { $node->visit("/?sid=$_") ne "$home{$_} HIT" } keys %home;
}
