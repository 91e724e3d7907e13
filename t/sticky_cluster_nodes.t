#!/usr/bin/perl

# Tests for the number of nodes that sticky_cluster shows: those that are there, also if they have
# nothing to say; without it, nobody would be told that one is missing.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Cluster;
use Sticky::Hands qw/ body_of /;
use Sticky::Pages;
use Sticky::Store;

use JSON::PP qw/ decode_json /;

plan(skip_all => Sticky::Store::missing()) if !Sticky::Store::program();

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(13);
apart($t);
my $store = Sticky::Store->new($t);
my %options = (store => $store, server => 'location /sticky { sticky_status; }');
my @nodes = map { node($t, @$_, %options) } ['a', 8091], ['b', 8092], ['c', 8093];

ok(eventually(sub { nodes($_) == 3 }), "three idle nodes: $_->{name} counts them") for @nodes;
like($nodes[0]->get('/sticky/metrics'), qr/^nginx_sticky_cluster_nodes 3$/m, 'in metrics');
like($nodes[0]->get('/sticky'), qr/3 nginx share their sessions/, 'on the page');
is($store->ask('XLEN', 'sticky:stream'), 0, 'they have said nothing of sessions');

# A node that is reloaded is no other one.

ok($nodes[1]->reload(), 'reloaded');
is($store->ask('ZCARD', 'sticky:nodes'), 3, 'it is the same');

# One is killed.

$nodes[2]->stop('KILL');
ok(eventually(sub { nodes($_) == 2 }), "one is killed: $_->{name} counts two") for @nodes[0, 1];

# The store begins anew.

$store->ask('FLUSHALL');
ok(eventually(sub { nodes($nodes[0]) == 2 }), 'the store is emptied: still two');
is($_->stop(), 0, 'one ends') for $nodes[1];
ok(eventually(sub { nodes($nodes[0]) == 1 }), 'the last one is alone');
undef $_ for @nodes, $store;

sub nodes {
    my ($node) = @_;
    return decode_json(body_of($node->get('/sticky/json')))->{cluster}{nodes};
}
