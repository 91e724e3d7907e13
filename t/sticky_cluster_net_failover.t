#!/usr/bin/perl

# Tests for sticky_cluster where the line of the store's first server is cut, sentinels make its replica
# the first, and the old one comes back: nodes go over to the new one and stay there, and no session
# goes astray. Without it, nodes go on with a server that nobody else uses.

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

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(19);
my $net = Sticky::Net->new(front => '10.77.0', back => '10.88.0');
my @vault = map { $net->host("store$_", 1 + $_) } 1, 2;
my ($first, $second) = map { $_->address('back') } @vault;
my %host = map { $_ => $net->host($_, ord) } qw/ a b c d /;
apart($t, '10.77.0.1');

my ($port, $sentinels) = map { port($_) } 8070, 8071;
my %open = (port => $port, bind => '0.0.0.0', 'protected-mode' => 'no');
my $main = Sticky::Store->new($t, name => 'main', host => $vault[0], %open);
my $replica = Sticky::Store->new($t, name => 'replica', host => $vault[1], %open,
    replicaof => "$first $port", 'repl-timeout' => 5);
my $sentinel = Sticky::Store->new($t, name => 'sentinel', host => $vault[1], %open,
    port => $sentinels, sentinel => <<"EOC");
sentinel monitor shop $first $port 1
sentinel down-after-milliseconds shop 1000
sentinel failover-timeout shop 3000
EOC
ok(eventually(sub { $main->replicates(qr/slave0:.*state=online/) }), 'a replica');
ok(eventually(sub { @{ $sentinel->ask(qw/ SENTINEL REPLICAS shop /) } }), 'known to the sentinel');

my $begin = sub {
    my ($name, %more) = @_;
    return node($t, $name, 8091, host => $host{$name}, servers => '10.77.0.1',
        url => "redis+sentinel://$second:$sentinels/shop", %more);
};
my %node = map { $_ => $begin->($_) } qw/ a b c /;
my @nodes = @node{qw/ a b c /};

my %home;
my $agree = sub { agree(\%home, $_[0], @nodes) };
$_->hand_out_to(\%home, $_->{name}, 20) for @nodes;
$agree->('before');

$net->cut($vault[0], 'back');
$_->hand_out_to(\%home, "cut-$_->{name}", 20) for @nodes;
ok(eventually(sub { $replica->replicates(qr/role:master/) }), 'failed over');
$_->hand_out_to(\%home, "over-$_->{name}", 20) for @nodes;
$agree->('failed over');

$net->mend($vault[0], 'back');
$_->hand_out_to(\%home, "back-$_->{name}", 20) for @nodes;
ok(eventually(sub { $main->replicates(qr/role:slave/) }), 'the old one is the replica now');
$agree->('the old one is back');

ok(eventually(sub { $replica->ask('EXISTS', 'sticky:snapshot') }), 'a snapshot is there');
$node{d} = $begin->('d');
is(strayed(\%home, $node{d}), 0, 'a node that comes late has all at once');
is(join('', map { $_->failures() } values %node), '', 'no process has failed');
$_->stop() for values %node;
undef $_ for @nodes, values %node, $begin, $agree, $sentinel, $replica, $main;
