#!/usr/bin/perl

# Tests for workers that are killed at any instant, hundreds of times, while they learn, look up and
# make room in a zone that is nearly full; without it, one crash tears a session, loses it, or
# leaves a lock for which the other workers wait for ever.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Killed;
use Sticky::Nginx;
use Sticky::Traffic;

use Time::HiRes qw/ sleep /;

use constant KILLS => 250;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(10);

# nginx writes an alert about each of them.
$t->todo_alerts();
prepare($t);
$t->run();

my %home = hand_out('/', 'used', SESSIONS);
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'sessions in use');

my $over = $t->testdir() . '/over';
my @clients = clients($over, \%home);

my %killed;
srand 1;
# For as long as the clients need to get through a good number of requests meanwhile.
while (keys %killed < KILLS || counted("$over.answers") <= 500 || counted("$over.ids") <= 1000) {
    last if time() - $^T > 600;
    # One that is dead already may not be noticed yet.
    my @alive = grep { !$killed{$_} } workers($t);
    if (@alive) {
        my $worker = $alive[rand @alive];
        $killed{$worker} = kill 'KILL', $worker;
    }
    sleep(0.01 + rand 0.07);
}
$t->write_file('over', '');

my ($visits, $wrong, $ids) = (0, 0, 0);
for (@clients) {
    my @result = split ' ', outcome($_);
    $visits += $result[0];
    $wrong += $result[1];
    $ids += $result[2];
}
cmp_ok($visits, '>', 500, "$visits answers meanwhile");
cmp_ok($ids, '>', 1000, "$ids ids handed out meanwhile");
is($wrong, 0, 'no answer of another server');

is_sound($t, \%home, scalar keys %killed);
