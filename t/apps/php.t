#!/usr/bin/perl

# Tests for nginx-conf/php.conf: PHP with its own sessions (session.use_trans_sid), behind
# proxy_pass, for browsers with and without cookies; without it users of such a shop are logged out
# by round robin.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sticky::Test;
use Sticky::Apps qw/ apps app published compared /;
use Sticky::AppsDiscovered qw/ proposes /;
use Sticky::AppsShops qw/ walk_all walk_two /;

apps('/usr/bin/php');

my $t = Test::Nginx->new()->has(qw/ http proxy /)->plan(6);

# PHP's own server, one process for each.
for my $port (map { port($_) } 8081 .. 8083) {
    my $sessions = $t->testdir() . "/sessions_$port";
    mkdir $sessions;
    local $ENV{SHOP_NAME} = "php-$port";
    $t->run_daemon('/usr/bin/php', '-q', '-n', '-d', "session.save_path=$sessions",
        (map { ('-d', $_) } 'session.use_only_cookies=0', 'session.use_trans_sid=1', 'log_errors=0',
            'display_errors=0'),
        '-S', "127.0.0.1:$port", app('php/index.php'));
}
$t->waitforsocket("127.0.0.1:" . port($_)) for 8081 .. 8083;

compared($t, 'php.conf', [['PHP', 60, sub { return { good => (walk_all(@_))[0] } }]]);

published($t, 'php.conf', 1);
$t->run();
my ($whole, $servers, $lost) = walk_all(60);
is($whole, 60, 'sessions that stay whole') or diag($lost);
is($servers, 3, 'at three servers');
$t->stop();

published($t, 'php.conf', 0);
$t->run();
($whole) = walk_all(20);
cmp_ok($whole, '<', 10, 'without sticky most are lost');
$t->stop();

proposes($t, 'php.conf', [{
    title => 'PHP', upstream => 'php', walks => [['PHP', 30, \&walk]],
    line => 'sticky mode=query name=PHPSESSID;',
}]);

sub walk {
    return walk_two() if $ENV{STICKY_VISITOR};
    return { good => (walk_all(@_))[0] };
}
