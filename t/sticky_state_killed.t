#!/usr/bin/perl

# Tests for processes that are killed while they write a state file, anywhere and, with a module
# that was built with feature steps, between each two steps: there is a whole file or the one
# before, and the next one to write is not in anybody's way; without it a crash at the wrong moment
# costs all sessions.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Killed qw/ has_test_points /;
use Sticky::Nginx;
use Sticky::Pages;
use Sticky::State;
use Sticky::Traffic;

use Time::HiRes qw/ sleep /;

# The one of them that is passed often, when half of the file is written.
my @points = map { "state: $_" }
    'locked:1', 'made:1', 'a word written:150', 'written:1', 'synced:1', 'renamed:1';

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(7 + 4 * @points);

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

worker_processes 2;

env STICKY_KILL_AT;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    error_log %%TESTDIR%%/error.log notice;

    include backends.conf;

    upstream u {
        sticky mode=query zone=u:128k state=u.state;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        location / {
            proxy_pass http://u;
        }
    }
}

EOC

my $file = $t->testdir() . '/u.state';

# nginx writes an alert about each of them.
$t->todo_alerts();
$t->run();

my %home = hand_out('/', 'id', 320);
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'all sessions hold');
ok(restarted($t, 'TERM'), 'written');
is(flaw($file), '', 'the file is whole');

# Worker 0 writes as soon as it starts. It gets more time, where it was often killed before that.

my ($replaced, $flaws, $inode) = (0, '', 0);
for my $round (1 .. 200) {
    last if $round > 20 && $replaced > 2;
    my @workers = eventually(sub { workers($t) == 2 }) ? workers($t) : ();
    sleep rand 0.001 * (20 > $round ? 20 : $round);
    kill 'KILL', @workers;
    $flaws .= "$round: $_\n" for grep { $_ ne '' } flaw($file);
    my $now = (stat $file)[1];
    $replaced++ if $now != $inode;
    $inode = $now;
}
is($flaws, '', 'killed anywhere: the file is whole at any time');
cmp_ok($replaced, '>', 2, 'and was often written');
ok(restarted($t, 'KILL'), 'all killed');
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'all sessions hold');
ended($t, 'TERM');

# Between two steps.

for my $point (@points) {
    SKIP: {
        skip 'needs a module built with feature steps', 4 unless has_test_points();
        local $ENV{STICKY_KILL_AT} = $point;
        my $killed = () = $t->read_file('error.log') =~ /exited on signal 9/g;
        $t->run();
        ok(eventually(sub {
            return (() = $t->read_file('error.log') =~ /exited on signal 9/g) > $killed + 1;
        }), "$point: killed there");
        ended($t, 'KILL');
        is(flaw($file), '', "$point: the file is whole");
        delete $ENV{STICKY_KILL_AT};
        ok(changed($file, sub { $t->run() }), "$point: the next one writes it");
        is(differing(\%home, { bring_back('/', keys %home) }), 0, "$point: all sessions hold");
        ended($t, 'TERM');
    }
}

# Both libraries end what runs.

$t->run();
