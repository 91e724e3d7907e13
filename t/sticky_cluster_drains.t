#!/usr/bin/perl

# Tests for drains by hand in sticky_cluster: what is ordered at one nginx is done at all, by one that
# comes late or comes back, too. Without it, an operator would have to drain a server at each of them,
# and a restart would bring back a drain that has ended.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Cluster;
use Sticky::Pages;
use Sticky::Store;

use JSON::PP qw/ decode_json /;

plan(skip_all => Sticky::Store::missing()) if !Sticky::Store::program();

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(44);
my $dir = $t->testdir();
apart($t);
my $store = Sticky::Store->new($t);
my %options = (store => $store, server => <<'EOC');
        sticky_drain_on $http_x_drain;
        location /sticky { sticky_status rw; }
EOC
my $first = node($t, 'a', 8091, %options);
my $second = node($t, 'b', 8092, %options, sticky => "state=$dir/b.state");
my %port = map { $_ => '127.0.0.1:' . port({ A => 8081, B => 8082, C => 8083 }->{$_}) } qw/ A B C /;

# One session at each server.

my %home;
for my $id (map { "id$_" } 1 .. 9) {
    $home{ $first->hand_out($id) } = $id;
}
ok(eventually(sub { !grep { $second->visit("/?sid=$home{$_}") ne "$_ HIT" } keys %home }), 'sessions at both');

# Drained at the one, put back at the other.

like(order($first, action => 'drain', server => 'A'), qr/gets no new sessions/, 'drained at the one');
is(drain($first, 'A')->{by}, 'hand', 'by hand');
ok(eventually(sub { drain($second, 'A') }), 'the other has heard of it');
is(drain($second, 'A')->{until}, undef, 'its sessions stay');
is(given($second)->{A}, undef, 'it gives no new sessions to it');
is($second->visit("/?sid=$home{A}"), 'A HIT', 'its own stay');
cmp_ok(abs(drain($first, 'A')->{since} - drain($second, 'A')->{since}), '<=', 1, 'since when, at both');
like($second->log(), qr/in the cluster, server "$port{A}" gets no new sessions, upstream "u"/, 'the log says so');
is(drain($second, 'B'), undef, 'the others are not');
like(order($second, action => 'undrain', server => 'A'), qr/gets new sessions/, 'put back at the other');
ok(eventually(sub { !drain($first, 'A') }), 'the one has heard of it');
ok(given($first)->{A}, 'it gives new sessions to it');
like(order($first, action => 'undrain', server => 'A'), qr/409/, 'there is nothing to put back');
ok($first->reload(), 'reloaded');
is(drain($first, 'A'), undef, 'it stays so');

# One after the other, at both.

for my $round (1 .. 5) {
    order($first, action => $round % 2 ? 'drain' : 'undrain', server => 'C');
    order($second, action => $round % 2 ? 'undrain' : 'drain', server => 'C');
}
# The last one is that which is in the stream last: what the other has ordered is there before.
order($second, action => 'drain', server => 'B');
ok(eventually(sub { drain($first, 'B') }), 'the orders of the other have come');
order($second, action => 'undrain', server => 'B');
order($first, action => 'drain', server => 'C', for => '1h');
my $has_until = sub { my ($drain) = drain($_[0], 'C'); $drain && $drain->{until} };
ok(eventually(sub { $has_until->($first) && $has_until->($second) }), 'the last one counts at both');
order($second, action => 'undrain', server => 'C');
ok(eventually(sub { !drain($first, 'C') && !drain($second, 'C') }), 'and the next one');

# With a deadline.

order($first, action => 'drain', server => 'A', for => '2h');
ok(eventually(sub { drain($second, 'A') }), 'drained for a time');
cmp_ok(abs(drain($first, 'A')->{until} - drain($second, 'A')->{until}), '<=', 1, 'the same at both');
is($second->visit("/?sid=$home{A}"), 'A HIT', 'until then its sessions stay');
order($first, action => 'drain', server => 'A', for => '1s');
ok(eventually(sub { $second->visit("/?sid=$home{A}") =~ /^[BC] GONE$/ }), 'then they go elsewhere');
order($second, action => 'undrain', server => 'A');
ok(eventually(sub { !drain($first, 'A') }), 'put back at the other');

# A server that says so itself tells each node.

$first->get("/?sid=$home{B}", 'X-Drain' => 1);
is(drain($first, 'B')->{by}, 'server', 'a server announces it at the one');
order($first, action => 'drain', server => 'C');
ok(eventually(sub { drain($second, 'C') }), 'what comes later has come');
is(drain($second, 'B'), undef, 'it has not told the other');
$second->get("/?sid=$home{B}", 'X-Drain' => 1);
order($first, action => 'undrain', server => 'B');
ok(eventually(sub { !drain($second, 'B') }), 'but an operator puts it back at all');

# A node that comes late: by the stream, and by a snapshot.

my $third = node($t, 'c', 8093, %options);
ok(drain($third, 'C'), 'a late one knows it as soon as it serves');
is(given($third)->{C}, undef, 'and gives no new sessions to it');
is($third->stop(), 0, 'it ends');
$store->ask('DEL', 'sticky:snapshot');
ok(eventually(sub { $store->ask('EXISTS', 'sticky:snapshot') }), 'a snapshot is written');
$home{last} = $first->hand_out('last');
ok(eventually(sub { $second->visit('/?sid=last') eq "$home{last} HIT" }), 'and something after it');
$store->ask(qw/ XTRIM sticky:stream MAXLEN 1 /);
$third = node($t, 'd', 8094, %options);
ok(drain($third, 'C'), 'a later one has it of the snapshot');
$third->stop();

# A node that comes back, with a file.

order($first, action => 'drain', server => 'A');
ok(eventually(sub { drain($second, 'A') }), 'drained');
is($second->stop(), 0, 'a node with a file ends');
order($first, action => 'undrain', server => 'C');
$second->start();
ok(drain($second, 'A'), 'started again: drained');
is(drain($second, 'C'), undef, 'what was put back meanwhile is not, although its file has it');

# Nobody has anything but the file.

is($_->stop(), 0, "$_->{name} ends") for $first, $second;
$store->ask('FLUSHALL');
$second->start();
ok(drain($second, 'A'), 'the store is empty: the file counts');
$first->start();
ok(eventually(sub { drain($first, 'A') }), 'and others get it from there');

# Without the store each goes on alone; the orders come later.

$store->kill('KILL');
order($first, action => 'undrain', server => 'A');
is(drain($first, 'A'), undef, 'without the store: put back here');
$store->start();
ok(eventually(sub { !drain($second, 'A') }), 'and with it everywhere');
$_->stop() for $first, $second;
undef $_ for $first, $second, $third, $store;

sub order {
    my ($node, %parameters) = @_;
    my %all = (%parameters, upstream => 'u', server => $port{ $parameters{server} });
    my $body = join '&', map { "$_=$all{$_}" } sort keys %all;
    return Sticky::Client::post('/sticky/json', $body, 'X-Sticky' => 1,
        { PeerAddr => "127.0.0.1:$node->{port}" });
}

# What a node says of a server's drain.
sub drain {
    my ($node, $server) = @_;
    my $reply = $node->get('/sticky/json');
    my $report = decode_json((split /\x0d\x0a\x0d\x0a/, $reply, 2)[1]);
    my ($found) = grep { $_->{name} eq $port{$server} } @{ $report->{upstreams}[0]{servers} };
    return $found->{drain};
}

# How many of some new sessions a node gives to each server.
sub given {
    my ($node) = @_;
    my %count;
    $count{ $node->hand_out("new$_" . rand()) }++ for 1 .. 12;
    return \%count;
}
