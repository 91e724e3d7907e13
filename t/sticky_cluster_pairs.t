#!/usr/bin/perl

# Tests for two nginx with sticky_cluster that learn one id at once, each for another server, 10,000
# times: both must agree on one of the two, soon. Without that, a client whose id both have learned
# has two sessions, and which one it meets depends on the nginx.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Cluster;
use Sticky::Pages;
use Sticky::Store;

use IO::Socket::INET;
use List::Util qw/ max /;
use Time::HiRes qw/ time /;

# Pairs, ids of one page, and pages whose agreement is waited for one by one.
use constant { PAIRS => 10_000, IDS => 8, SINGLE => 100 };

plan(skip_all => Sticky::Store::missing()) if !Sticky::Store::program();

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(6);
apart($t);
my $store = Sticky::Store->new($t);
# With one worker, the servers take turns.
my @nodes = map { node($t, $_->[0], $_->[1], store => $store, workers => 1) } ['a', 8091], ['b', 8092];
ok($nodes[0]->heard_by($nodes[1]), 'both speak to the store');
ok($nodes[1]->heard_by($nodes[0]), 'both hear of it');
# One of them is a server ahead of the other.
my @turn = map { $_->hand_out("turn$_->{name}") } @nodes;
$nodes[0]->hand_out('turn') if $turn[0] eq $turn[1];

# Some pairs by themselves: how long until both say the same.

my @connections = map { connection($_) } @nodes;
my ($different, @times) = (0);
for my $number (1 .. SINGLE) {
    my @said = learned("single$number");
    $different++ if $said[0] ne $said[1];
    my $began = time();
    my $last = "single$number-" . IDS;
    # Without a pause, or it would be the pause that is measured.
    my $is_agreed = 0;
    until ($is_agreed || time() - $began > 60) {
        my @where = both("/?sid=$last");
        $is_agreed = $where[0] eq $where[1] && $where[0] =~ / HIT/;
    }
    last if !$is_agreed;
    push @times, time() - $began;
}
is(scalar @times, SINGLE, 'one page at both at once: both agree');
diag(sprintf 'one page at both at once: agreed on after %.1f ms, %.1f ms at most',
    1000 * (sort { $a <=> $b } @times)[@times / 2], 1000 * max(@times)) if @times;

# All as fast as they come.

my $began = time();
for my $number (1 .. PAIRS / IDS) {
    my @said = learned("pair$number");
    $different++ if $said[0] ne $said[1];
}
my $learned = time();
ok($nodes[0]->heard_by($nodes[1]) && $nodes[1]->heard_by($nodes[0]), 'each has what the other has');
my $agreed = time();
diag(sprintf '%d pairs in %.1f s, all agreed on %.0f ms after the last one; %d of %d pages were learned for'
    . ' two servers', PAIRS, $learned - $began, 1000 * ($agreed - $learned), $different, PAIRS / IDS + SINGLE);
cmp_ok($different, '>', PAIRS / IDS / 2, 'both have learned ids for servers of their own');

my $apart = 0;
for my $number (1 .. PAIRS / IDS) {
    for my $id (map { "pair$number-$_" } 1 .. IDS) {
        my @where = both("/?sid=$id");
        $apart++ if $where[0] ne $where[1] || $where[0] !~ /^[ABC] HIT$/;
    }
}
is($apart, 0, 'both agree on all');
close $_ for @connections;
$_->stop() for @nodes;
undef $_ for @nodes, $store;

# A page with ids that both nodes are asked for at once. Returns whose it is at each.
sub learned {
    my ($prefix) = @_;
    my $page = join '', map { "<a href=?sid=$prefix-$_>" } 1 .. IDS;
    return map { s/ .*//r } both('/', "X-Page: $page\x0d\x0a");
}

# What both nodes answer to a request: server and status.
sub both {
    my ($uri, $header) = @_;
    for my $number (0, 1) {
        my $request = "GET $uri HTTP/1.1\x0d\x0aHost: localhost\x0d\x0a" . ($header // '') . "\x0d\x0a";
        $connections[$number] = connection($nodes[$number]) if !$connections[$number]->opened();
        syswrite $connections[$number], $request;
    }
    return map { answer($_) } @connections;
}

sub connection {
    my ($node) = @_;
    return IO::Socket::INET->new(PeerAddr => "$node->{address}:$node->{port}") // die "no connection\n";
}

sub answer {
    my ($socket) = @_;
    my $text = '';
    until ($text =~ /\A(.*?)\x0d\x0a\x0d\x0a(.*)\z/s
        && length($2) >= ($1 =~ /^Content-Length: (\d+)/mi ? $1 : 0)) {
        sysread $socket, $text, 65_536, length $text or die "the connection was closed\n";
    }
    # nginx ends a connection after so many requests.
    close $socket if $text =~ /^Connection: close/mi;
    return join ' ', served_by($text), status($text);
}
