#!/usr/bin/perl

# Tests for sticky_cluster beside state=, and for the line that is added to an nginx that has sessions:
# what the others know wins over a file, what nobody else knows returns only to an empty store, and no
# session is lost by adding the line. Without it, a restart would bring back sessions that have ended.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Cluster;
use Sticky::Pages;
use Sticky::Store;

plan(skip_all => Sticky::Store::missing()) if !Sticky::Store::program();

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(13);
my $dir = $t->testdir();
apart($t);
my $store = Sticky::Store->new($t);
my $forget = 'forget=$http_x_forget';
my $first = node($t, 'a', 8091, store => $store, sticky => $forget);
my $second = node($t, 'b', 8092, store => $store, sticky => "$forget state=$dir/b.state");

my %home = map { $_ => $first->hand_out($_) } map { "id$_" } 1 .. 20;
ok(eventually(sub { !astray($second) }), 'known at both');
is($second->stop(), 0, 'the one with a file ends');
ok(-s "$dir/b.state", 'its file has them');

# Meanwhile.

delete $home{id1};
$first->get('/?sid=id1', 'X-Forget' => 1);
$home{new} = $first->hand_out('new');
ok(eventually(sub { $first->visit('/?sid=id1') =~ / MISS$/ }), 'one ends meanwhile');
$second->start();
is(astray($second), 0, 'started again: it knows what the others know');
like($second->visit('/?sid=id1'), qr/ MISS$/, 'and not what has ended, although its file has it');

# Nobody has anything but the file.

is($_->stop(), 0, "$_->{name} ends") for $first, $second;
$store->ask('FLUSHALL');
$second->start();
is(astray($second), 0, 'the store is empty: the file counts');
$first->start();
is(astray($first), 0, 'and others get it from there');

# The line is added to an nginx that has sessions under another key.

my $third = node($t, 'c', 8093, store => $store, alone => 1);
my %own = map { $_ => $third->hand_out($_) } map { "own$_" } 1 .. 20;
$third->configure(alone => 0);
ok($third->reload(), 'the line is added by a reload');
is(scalar(grep { $third->visit("/?sid=$_") ne "$own{$_} HIT" } keys %own), 0, 'no session is lost');
%home = (%home, %own);
ok(eventually(sub { !astray($first) && !astray($third) }), 'what is used is known to all');
undef $_ for $first, $second, $third, $store;

sub astray {
    my ($node) = @_;
    return scalar grep { $node->visit("/?sid=$_") ne "$home{$_} HIT" } keys %home;
}
