#!/usr/bin/perl

# Tests for drains by hand in sticky_cluster where no sessions are shared, as cookies or links carry
# the server: they reach all nginx nevertheless, but those of servers that are others on each of them,
# and of upstreams that stay out. Without this, an operator would have to drain at each nginx, and could
# not see why.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Cluster;
use Sticky::Hands qw/ body_of port_of /;
use Sticky::Pages;
use Sticky::Store;

use JSON::PP qw/ decode_json /;

plan(skip_all => Sticky::Store::missing()) if !Sticky::Store::program();

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(27);
apart($t);
my $store = Sticky::Store->new($t);
my $servers = join ' ', map { 'server ' . port_of($_) . " route=$_;" } qw/ A B C /;
my $nameless = join ' ', map { 'server ' . port_of($_) . ';' } qw/ A B C /;
my %more = (
    store => $store,
    # No zone takes part.
    sticky => 'cluster=off',
    http => <<"EOC",
upstream cookie { sticky mode=cookie; $servers }
    upstream rewrite { sticky mode=rewrite; $servers }
    upstream own { sticky mode=query name=own zone=off; $servers }
    upstream local { sticky mode=cookie; $nameless }
EOC
    server => join "\n", 'location /sticky { sticky_status rw; }',
        map { "location /$_/ { proxy_pass http://$_/; }" } qw/ cookie rewrite own local /,
);
my $first = node($t, 'a', 8091, %more);
my $second = node($t, 'b', 8092, %more);

for my $upstream (qw/ cookie rewrite own /) {
    ok(given($second, $upstream)->{A}, "$upstream: its servers get new sessions");
    like(order($first, 'drain', $upstream, 'A', for => '2h'), qr/gets no new sessions/, "$upstream: drained at the one");
    ok(eventually(sub { drain($second, $upstream, 'A') }), "$upstream: the other has heard of it");
    is(given($second, $upstream)->{A}, undef, "$upstream: it gives no new sessions to it");
    is(drain($second, $upstream, 'B'), undef, "$upstream: the others are not");
}
is(drain($first, 'local', 'A'), undef, 'an upstream of its own');

# Of those that stay at their node; what comes later has come.

order($first, 'drain', $_, 'B') for qw/ local u /;
order($first, 'drain', 'cookie', 'C');
ok(eventually(sub { drain($second, 'cookie', 'C') }), 'what comes later has come');
is(drain($second, 'local', 'B'), undef, 'not of a server that is another one there');
is(drain($second, 'u', 'B'), undef, 'not of a zone that stays out');
is(drain($first, $_, 'B')->{by}, 'hand', "$_: drained where it was ordered") for qw/ local u /;

# One that comes late, one that is reloaded, and the end.

my $third = node($t, 'c', 8093, %more);
ok(drain($third, 'cookie', 'C'), 'a late one knows it as soon as it serves');
ok($second->reload(), 'reloaded');
ok(drain($second, 'cookie', 'C'), 'it stays so');
like(order($third, 'undrain', 'cookie', 'C'), qr/gets new sessions/, 'put back at the late one');
ok(eventually(sub { !grep { drain($_, 'cookie', 'C') } $first, $second }), 'and so at all');
is(join('', map { $_->failures() } $first, $second, $third), '', 'no process has failed');
$_->stop() for $first, $second, $third;
undef $_ for $first, $second, $third, $store;

sub order {
    my ($node, $action, $upstream, $server, %parameters) = @_;
    my %all = (%parameters, action => $action, upstream => $upstream, server => port_of($server));
    my $body = join '&', map { "$_=$all{$_}" } sort keys %all;
    return Sticky::Client::post('/sticky/json', $body, 'X-Sticky' => 1,
        { PeerAddr => "127.0.0.1:$node->{port}" });
}

# What a node says of a server's drain.
sub drain {
    my ($node, $upstream, $server) = @_;
    my $report = decode_json(body_of($node->get('/sticky/json')));
    my ($found) = grep { $_->{name} eq $upstream } @{ $report->{upstreams} };
    ($found) = grep { $_->{name} eq port_of($server) } @{ $found->{servers} };
    return $found->{drain};
}

# How many of some first requests a node gives to each server.
sub given {
    my ($node, $upstream) = @_;
    my %count;
    $count{ served_by($node->get("/$upstream/")) }++ for 1 .. 12;
    return \%count;
}
