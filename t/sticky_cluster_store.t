#!/usr/bin/perl

# Tests for the ways to the store of sticky_cluster: TCP, a password, a user with no more rights than
# it needs, TLS, sentinels with a failover, a store that stands still; without them a node goes on
# alone where operators do not leave the store open to all.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Cluster;
use Sticky::Pages;
use Sticky::Store;

use Time::HiRes qw/ sleep time /;

plan(skip_all => Sticky::Store::missing()) if !Sticky::Store::program();
plan(skip_all => 'openssl not found') if !-x '/usr/bin/openssl';

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(20);
my $dir = $t->testdir();
apart($t);
$t->write_file('password', "a secret of two words\n");

# What one node has learned is known at the other.
sub both {
    my ($name, $first, $second) = @_;
    my $id = "$name" . time();
    my $home = $first->hand_out($id);
    return ok(eventually(sub { $second->visit("/?sid=$id") eq "$home HIT" }), "$name: known at both");
}

sub pair {
    my ($store, $url, $cluster) = @_;
    return map { node($t, $_->[0], $_->[1], store => $store, url => $url, cluster => $cluster // '') }
        ['a', 8091], ['b', 8092];
}

# By TCP, with a password, and a store that may forget.

my $port = port(8070);
my $store = Sticky::Store->new($t, name => 'one', port => $port, bind => '127.0.0.1',
    requirepass => 'a secret of two words', 'maxmemory-policy' => 'allkeys-lru');
my ($first, $second) = pair($store, "redis://127.0.0.1:$port/3", "password_file=$dir/password");
both('password', $first, $second);
ok(eventually(sub { $first->log() =~ /the store may forget what is in it, its maxmemory-policy is allkeys-lru/ }),
    'a store that may forget: the log says so');

# As a user who may do what is needed, and no more.

$store->ask(qw/ ACL SETUSER sticky on >other ~shop:* +xadd +xread +xrange +xrevrange +xinfo|stream
    +xtrim +zadd +zcard +zremrangebyscore +get +set +pexpire +time +info +select +config|get /);
$_->stop() for $first, $second;
($first, $second) = pair($store, "redis://sticky:other\@127.0.0.1:$port/3", 'prefix=shop:');
both('user', $first, $second);
ok(eventually(sub { $second->log() =~ /takes part in a cluster/ }), 'no more is needed');
unlike($second->log(), qr/other\@|:other/, 'its password is in no log');
$_->stop() for $first, $second;
$store->kill();

# By TLS.

my $log = `cd $dir && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \\
    -addext 'subjectAltName=DNS:localhost' -addext 'basicConstraints=critical,CA:TRUE' \\
    -keyout ca.key -out ca.crt 2>&1 \\
    && openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout own.key -out own.csr 2>&1 \\
    && printf 'subjectAltName=DNS:localhost' > own.ext \\
    && openssl x509 -req -in own.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile own.ext \\
        -out own.crt 2>&1`;
$store = Sticky::Store->new($t, name => 'tls', 'tls-port' => $port, bind => '127.0.0.1',
    'tls-cert-file' => "$dir/own.crt", 'tls-key-file' => "$dir/own.key",
    'tls-ca-cert-file' => "$dir/ca.crt");
my $own = "cert_file=$dir/own.crt cert_key_file=$dir/own.key";
($first, $second) = pair($store, "rediss://localhost:$port", "ca_file=$dir/ca.crt $own");
both('tls', $first, $second);
my $third = node($t, 'c', 8093, store => $store, url => "rediss://localhost:$port",
    cluster => "$own wait=100ms");
ok(eventually(sub { $third->log() =~ /the store cannot be used.*certificate/i }), 'tls: not by anybody else');
$_->stop() for $first, $second, $third;
$store->kill();

# A store that stands still for some seconds: nobody waits for it.

$store = Sticky::Store->new($t, name => 'still');
($first, $second) = pair($store);
both('still', $first, $second);
$store->pause();
my ($began, $slowest) = (time(), 0);
my %home;
for my $n (1 .. 40) {
    my $before = time();
    $home{"still$n"} = $first->hand_out("still$n");
    my $took = time() - $before;
    $slowest = $took if $took > $slowest;
    sleep 0.05;
}
cmp_ok($slowest, '<', 1, 'a store that stands still: no request waits for it');
is(scalar(grep { $first->visit("/?sid=$_") ne "$home{$_} HIT" } keys %home), 0, 'all are known');
$store->resume();
ok(eventually(sub { !grep { $second->visit("/?sid=$_") ne "$home{$_} HIT" } keys %home }),
    'it goes on: the other one hears of all');
my $before = time();
is($first->stop(), 0, 'ends');
cmp_ok(time() - $before, '<', 5, 'soon');
$second->stop();
$store->kill();

# Sentinels, and a failover.

my @ports = map { port($_) } 8071 .. 8073;
my $main = Sticky::Store->new($t, name => 'main', port => $ports[0], bind => '127.0.0.1');
my $replica = Sticky::Store->new($t, name => 'replica', port => $ports[1], bind => '127.0.0.1',
    replicaof => "127.0.0.1 $ports[0]");
my $sentinel = Sticky::Store->new($t, name => 'sentinel', port => $ports[2], bind => '127.0.0.1',
    sentinel => <<"EOC");
sentinel monitor shop 127.0.0.1 $ports[0] 1
sentinel down-after-milliseconds shop 500
sentinel failover-timeout shop 3000
EOC
ok(eventually(sub { $main->replicates(qr/connected_slaves:1/) }), 'a replica');
ok(eventually(sub { @{ $sentinel->ask(qw/ SENTINEL REPLICAS shop /) } }), 'known to the sentinel');
($first, $second) = pair($main, "redis+sentinel://127.0.0.1:$ports[2]/shop");
both('sentinel', $first, $second);
%home = map { $_ => $first->hand_out($_) } map { "over$_" } 1 .. 20;
$main->kill('KILL');
$home{$_} = $second->hand_out($_) for map { "alone$_" } 1 .. 20;
ok(eventually(sub { $replica->replicates(qr/role:master/) }), 'failed over');
for my $node ($first, $second) {
    ok(eventually(sub { !grep { $node->visit("/?sid=$_") ne "$home{$_} HIT" } keys %home }),
        "failed over: $node->{name} has all");
}
both('after', $second, $first);
$_->stop() for $first, $second;
undef $_ for $first, $second, $third, $sentinel, $replica, $main, $store;
