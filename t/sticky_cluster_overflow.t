#!/usr/bin/perl

# Tests for an nginx that changes more sessions than its journal has room for, while the store stands
# still: when it goes on, all is told. Without that, other nginx would not know those for which there
# was no room.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Cluster;
use Sticky::Hands qw/ body_of /;
use Sticky::Pages;
use Sticky::Store;

use JSON::PP qw/ decode_json /;

plan(skip_all => Sticky::Store::missing()) if !Sticky::Store::program();

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(7);
apart($t);
my $store = Sticky::Store->new($t);
my %options = (store => $store, zone => 'u:8m', server => 'location /sticky { sticky_status; }');
my $first = node($t, 'a', 8091, %options);
my $second = node($t, 'b', 8092, %options);
my %home = (before => $first->hand_out('before'));
ok(eventually(sub { !astray() }), 'known at both');

# The journal has 65,536 places. A page hands out eight ids in links.

$store->pause();
my $count = 0;
until (cluster($first)->{dropped} > 100) {
    for my $page (1 .. 250) {
        my @ids = map { "id$count-$page-$_" } 1 .. 8;
        my $server = served_by($first->get('/', 'X-Page' => join '', map { "<a href=?sid=$_>" } @ids));
        $home{ $ids[0] } = $server if $page % 50 == 0;
    }
    $count++;
    last if $count > 100;
}
my $before = cluster($first);
cmp_ok($before->{dropped}, '>', 100, 'there was no room for some');
cmp_ok($before->{pending}, '>', 60_000, 'the others wait');
is(astray($first), 0, 'the node itself has all');
$store->resume();

ok(eventually(sub { !astray($second) }), 'when the store goes on, the other one gets all');
ok(eventually(sub { cluster($first)->{pending} == 0 }), 'nothing is left to be sent');
$home{after} = $second->hand_out('after');
ok(eventually(sub { !astray($first) }), 'they go on');
undef $_ for $first, $second, $store;

sub astray {
    my ($node) = @_;
    $node //= $second;
    return scalar grep { $node->visit("/?sid=$_") ne "$home{$_} HIT" } keys %home;
}

sub cluster {
    my ($node) = @_;
    return decode_json(body_of($node->get('/sticky/json')))->{cluster};
}
