#!/usr/bin/perl

# Tests for workers that die between two steps of an operation on the session table, at each test point
# that requests come by often; the core's table_killed has all of them. Without it, the one instruction
# after which a death does harm may never be hit.
#
# The module must have been built with test points, see `make test-killed`.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Killed;
use Sticky::Traffic;

# The test points, and how often a worker comes by before it dies: often enough to serve some requests.
my @points = (
    ['learn: inserted',         100],
    ['learn: looked again',     100],
    ['search: a word',          20_000],
    ['relocate: copied',        6],
    ['relocate: counted',       6],
    ['replace: written',        20],
    ['swap',                    250],
    ['swap: done',              250],
    ['view: a word',            5000],
);

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/);
plan(skip_all => 'the module has no test points, see make test-killed') unless has_test_points();
$t->plan(1 + 10 * @points);

# nginx writes an alert about each of them.
$t->todo_alerts();
prepare($t);
$t->run();

my %home = hand_out('/', 'used', SESSIONS);
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'sessions in use');

for my $case (@points) {
    my ($point, $times) = @$case;
    note("Workers die at: $point");
    my $before = deaths($t);
    my $over = $t->testdir() . '/over';
    unlink $over;

    ok(die_at($t, $point, $times), 'reload');
    my @clients = clients($over, \%home);
    eventually(sub { deaths($t) >= $before + 8 });
    $t->write_file('over', '');
    my $wrong = 0;
    $wrong += (split ' ', outcome($_))[1] for @clients;
    ok(die_at($t), 'and back');

    is($wrong, 0, 'no answer of another server');
    my $deaths = deaths($t);
    cmp_ok($deaths - $before, '>=', 8, "$point: workers have died");
    is_sound($t, \%home, $deaths);
}
