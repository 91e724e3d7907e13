#!/usr/bin/perl

# Tests for sticky_cluster where the store takes nothing although it answers, as its user may not add to
# the stream, and where an nginx with another key uses the same names: operators are told, nothing is
# lost, and the others go on. Without the first, nodes would keep what they learn to themselves, and
# nobody would know why; without the second, one wrong file would keep the sessions of the others from
# nodes that begin.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Cluster;
use Sticky::Hands qw/ body_of /;
use Sticky::Pages;
use Sticky::Store;

use JSON::PP qw/ decode_json /;

plan(skip_all => Sticky::Store::missing()) if !Sticky::Store::program();

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(21);
apart($t);
my $port = port(8070);
my $store = Sticky::Store->new($t, port => $port, bind => '127.0.0.1');
my @rights = qw/ ACL SETUSER sticky on >secret ~sticky:* +@all /;
$store->ask(@rights);
my %options = (url => "redis://sticky:secret\@127.0.0.1:$port",
    server => 'location /sticky { sticky_status; }');
my $first = node($t, 'a', 8091, %options);
my $second = node($t, 'b', 8092, %options);
my %home;
$_->hand_out_to(\%home, $_->{name}, 10) for $first, $second;
ok($first->heard_by($second) && $second->heard_by($first), 'they hear of each other');
is(cluster($first)->{up}, 1, 'the page says so');

# It takes nothing any more. From then on, whatever a node has to say is refused.

$store->ask(qw/ ACL SETUSER sticky -xadd /);
$_->hand_out_to(\%home, "refused-$_->{name}", 10) for $first, $second;
for my $node ($first, $second) {
    ok(eventually(sub { $node->log() =~ /the store cannot be used, it answers "NOPERM/ }), "$node->{name}: the log says so");
    ok(eventually(sub { !cluster($node)->{up} }), "$node->{name}: the page, too");
    cmp_ok(cluster($node)->{pending}, '>=', 10, "$node->{name}: what is learned is kept");
}
my %own = map { $_ => $home{$_} } grep { /^refused-a/ } keys %home;
is(strayed(\%own, $first), 0, 'each goes on with its own');

# Its connections are tried again, but not without end at once.

my $before = $store->ask('INFO', 'stats') =~ /total_connections_received:(\d+)/ && $1;
sleep 2;
my $after = $store->ask('INFO', 'stats') =~ /total_connections_received:(\d+)/ && $1;
cmp_ok($after - $before, '<', 20, 'it is not asked too often');

# It takes again.

$store->ask(qw/ ACL SETUSER sticky +xadd /);
ok($first->heard_by($second) && $second->heard_by($first), 'it takes again: they hear of each other');
is(strayed(\%home, $first, $second), 0, 'of all that was learned meanwhile');
for my $node ($first, $second) {
    ok(eventually(sub { $node->log() =~ /the store can be used again/ }), "$node->{name}: the log says so");
    is(() = $node->log() =~ /the store cannot be used/g, 1, "$node->{name}: once each");
}

# One with another key, which learns.

# The first one was written when there was nothing.
$store->ask('DEL', 'sticky:snapshot');
ok(eventually(sub { $store->ask('EXISTS', 'sticky:snapshot') }), 'there is a snapshot');
$t->write_file('other.key', "a key that is not that of the others\n");
my $other = node($t, 'x', 8093, %options, key => 'other.key');
$other->hand_out("other$_") for 1 .. 10;
ok(eventually(sub { $first->log() =~ /an entry of the stream is refused/ }), 'an entry with another key is told of');
# It has looked at the snapshot more than once.
my $refused = cluster($other)->{refused};
ok(eventually(sub { cluster($other)->{refused} >= $refused + 2 }), 'the snapshot, too');
my $late = node($t, 'c', 8094, %options);
ok(eventually(sub { $late->log() =~ /takes part in a cluster, [1-9]\d* sessions of a snapshot/ }),
    'it does not write over that of the others');
is(strayed(\%home, $late), 0, 'one that comes late knows all');
$_->stop() for $first, $second, $other, $late;
undef $_ for $first, $second, $other, $late, $store;

sub cluster {
    my ($node) = @_;
    return decode_json(body_of($node->get('/sticky/json')))->{cluster};
}
