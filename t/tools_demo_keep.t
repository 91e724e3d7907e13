#!/usr/bin/perl

# Test for demo/run --keep: the page with the shop twice, without and with the module, is there, the
# shop's links stay under their paths, and everything ends with it.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Time::HiRes qw/ sleep /;

my $t = Test::Nginx->new()->has(qw/http proxy/);
my ($module) = ($ENV{TEST_NGINX_GLOBALS} // '') =~ /load_module (\S+);/;
plan(skip_all => 'the module is linked in') unless defined $module;
$t->plan(9);

my $pid = open(my $said, '-|', "$FindBin::Bin/../demo/run", '--keep', $module, $ENV{NGINX_FOR_TESTS})
    // die "Can't start the demo: $!";
my ($port, $logs);
while (!defined $logs) {
    my $line = <$said> // last;
    ($port) = $1 if $line =~ m{http://127\.0\.0\.1:(\d+)/};
    ($logs) = $1 if $line =~ m{^Log files: (\S+)/logs};
}
ok($port, 'it says where it is');

my $page = fetch('/');
like($page, qr/^HTTP\/1\.1 200 .*Put five things into the cart/s, 'the page');
unlike($page, qr/\[8081, 8082, 8083\]/, 'with the ports of the servers');

for my $side ('plain', 'with') {
    my $shop = fetch("/$side/");
    my @links = $shop =~ /href="([^"]+)"/g;
    is_deeply([grep { !m{\A/$side/} } @links], [], "links of $side");
}

my ($link) = fetch('/with/') =~ /href="([^"]+)"/;
fetch($link) for 1 .. 6;
like(fetch('/log/with.log', "Range: bytes=0-\r\n"), qr/206 .*(?:\S+ GET HIT\n){6}\z/s, 'what squares are drawn from');
like(fetch('/sticky'), qr/200 .*Sticky sessions/s, 'the status page');

kill TERM => $pid;
1 while <$said>;
close $said;
is($? & 127, 0, 'it ends by itself');
ok(!-e $logs, 'and leaves nothing');

sub fetch {
    my ($target, $more) = @_;

    my $socket = IO::Socket::INET->new(Proto => 'tcp', PeerAddr => "127.0.0.1:$port") or return '';
    print {$socket} "GET $target HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" . ($more // '') . "\r\n";
    local $/;
    return <$socket> // '';
}
