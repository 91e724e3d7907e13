#!/usr/bin/perl

# Tests for a store in whose place another one comes that lacks its latest entries, while the nginx that
# has sent them is gone: whoever has read them tells the others. Without that, an nginx that was slow
# would not know those sessions for as long as they live.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Cluster;
use Sticky::Hands qw/ body_of /;
use Sticky::Pages;
use Sticky::Store;

use JSON::PP qw/ decode_json /;

plan(skip_all => Sticky::Store::missing()) if !Sticky::Store::program();

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(11);
my $dir = $t->testdir();
apart($t);

# A store and its replica; nodes know them by one path.

my $port = port(8070);
my $old = Sticky::Store->new($t, name => 'old', port => $port, bind => '127.0.0.1');
my $new = Sticky::Store->new($t, name => 'new');
my $path = "$dir/current.sock";
symlink $old->socket(), $path or die "Can't link: $!\n";
my %options = (url => "unix:$path", server => 'location /sticky { sticky_status rw; }');
my %node = map { $_->[0] => node($t, @$_, %options) } ['a', 8091], ['b', 8092], ['c', 8093];

my %home = (before => $node{a}->hand_out('before'));
ok(eventually(sub { !astray('b') && !astray('c') }), 'known to all');
$new->ask('REPLICAOF', '127.0.0.1', $port);
ok(eventually(sub { $new->ask('INFO', 'replication') =~ /master_link_status:up/ }), 'the replica follows');
is($new->ask('XLEN', 'sticky:stream'), $old->ask('XLEN', 'sticky:stream'), 'and has what the store has');

# What comes now, the replica does not get. One node stands still.

$new->ask('REPLICAOF', 'NO', 'ONE');
my @slow = $node{c}->workers();
kill 'STOP', @slow;
$home{$_} = $node{a}->hand_out($_) for map { "lost$_" } 1 .. 20;
drain('a', 'B');
ok(eventually(sub { !astray('b') }), 'one node has read it');
ok(eventually(sub { drained('b') }), 'and that a server is drained');
cmp_ok($new->ask('XLEN', 'sticky:stream'), '<', $old->ask('XLEN', 'sticky:stream'), 'the replica has not');
$node{a}->stop('KILL');
unlink $path;
symlink $new->socket(), $path or die "Can't link: $!\n";
$old->kill('KILL');
kill 'CONT', @slow;

ok(eventually(sub { !astray('c') }), 'the slow one gets it, although its sender has ended');
ok(eventually(sub { drained('c') }), 'the drain, too');
is(astray('b'), 0, 'the other one still has it');
$home{after} = $node{b}->hand_out('after');
ok(eventually(sub { !astray('c') }), 'they go on');
$home{late} = $node{c}->hand_out('late');
ok(eventually(sub { !astray('b') }), 'in both directions');
%node = ();
undef $_ for $old, $new;

sub astray {
    my ($name) = @_;
    return scalar grep { $node{$name}->visit("/?sid=$_") ne "$home{$_} HIT" } keys %home;
}

sub drain {
    my ($name, $server) = @_;
    my $address = '127.0.0.1:' . port({ A => 8081, B => 8082, C => 8083 }->{$server});
    return Sticky::Client::post('/sticky/json', "action=drain&upstream=u&server=$address",
        'X-Sticky' => 1, { PeerAddr => "127.0.0.1:$node{$name}{port}" });
}

sub drained {
    my ($name) = @_;
    my $report = decode_json(body_of($node{$name}->get('/sticky/json')));
    return grep { $_->{drain} } @{ $report->{upstreams}[0]{servers} };
}
