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

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(17);
my $dir = $t->testdir();
apart($t);

# A store and its replica; nodes know them by one path.

my $port = port(8070);
my $old = Sticky::Store->new($t, name => 'old', port => $port, bind => '127.0.0.1');
my $new = Sticky::Store->new($t, name => 'new');
my $path = "$dir/current.sock";
symlink $old->socket(), $path or die "Can't link: $!\n";
# One worker, as what it has read is known to no other one.
my %options = (url => "unix:$path", workers => 1, server => 'location /sticky { sticky_status rw; }');
my %node = map { $_->[0] => node($t, @$_, %options) } ['a', 8091], ['b', 8092], ['c', 8093];

my %home = map { $_ => $node{a}->hand_out($_) } 'before', 'gone', map { "move$_" } 1 .. 6;
ok(eventually(sub { !astray('b') && !astray('c') }), 'known to all');
# That they were used, too: who is told that later takes a session for one that has begun again.
ok($node{b}->heard_by(@node{qw/ a c /}) && $node{c}->heard_by(@node{qw/ a b /}), 'and all have told of it');
# A snapshot that has all of them.
$old->ask('DEL', 'sticky:snapshot');
ok(eventually(sub { $old->ask('EXISTS', 'sticky:snapshot') }), 'a snapshot is written');
$new->ask('REPLICAOF', '127.0.0.1', $port);
ok(eventually(sub { $new->ask('INFO', 'replication') =~ /master_link_status:up/ }), 'the replica follows');
is($new->ask('XLEN', 'sticky:stream'), $old->ask('XLEN', 'sticky:stream'), 'and has what the store has');

# What comes now, the replica does not get. One node stands still.

$new->ask('REPLICAOF', 'NO', 'ONE');
my @slow = $node{c}->workers();
kill 'STOP', @slow;
$home{$_} = $node{a}->hand_out($_) for map { "lost$_" } 1 .. 20;
drain('a', 'B');
ok(eventually(sub { !astray('b') }), 'one node has read them');
# What an operator does to sessions that the slow one knows.
like(order('a', action => 'forget', id => 'gone'), qr/"done"/, 'one is forgotten');
delete $home{gone};
my ($from, $to) = ($home{move1}, $home{move1} eq 'A' ? 'C' : 'A');
like(order('a', action => 'move', server => address($from), to => address($to)), qr/"done"/, 'some are moved');
$home{$_} = $to for grep { $home{$_} eq $from } keys %home;
ok(eventually(sub { !astray('b') && !knows('b', 'gone') }), 'one node has read it');
ok(eventually(sub { drained('b') }), 'and that a server is drained');
cmp_ok($new->ask('XLEN', 'sticky:stream'), '<', $old->ask('XLEN', 'sticky:stream'), 'the replica has not');
$node{a}->stop('KILL');
unlink $path;
symlink $new->socket(), $path or die "Can't link: $!\n";
$old->kill('KILL');
kill 'CONT', @slow;

ok(eventually(sub { !astray('c') }), 'the slow one gets it, although its sender has ended');
ok(eventually(sub { drained('c') }), 'the drain, too');
ok(eventually(sub { !knows('c', 'gone') }), 'and that a session is forgotten');
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

sub order {
    my ($name, %parameters) = @_;
    my %all = (%parameters, upstream => 'u');
    return Sticky::Client::post('/sticky/json', join('&', map { "$_=$all{$_}" } sort keys %all),
        'X-Sticky' => 1, { PeerAddr => "127.0.0.1:$node{$name}{port}" });
}

sub address { return '127.0.0.1:' . port({ A => 8081, B => 8082, C => 8083 }->{$_[0]}) }

sub drain { return order($_[0], action => 'drain', server => address($_[1])) }

sub knows { return $node{$_[0]}->visit("/?sid=$_[1]") =~ / HIT$/ }

sub drained {
    my ($name) = @_;
    my $report = decode_json(body_of($node{$name}->get('/sticky/json')));
    return grep { $_->{drain} } @{ $report->{upstreams}[0]{servers} };
}
