#!/usr/bin/perl

# Tests for nginx-conf/php-fpm.conf: PHP with its own sessions behind fastcgi_pass, each php-fpm
# with sessions of its own, for browsers with and without cookies; without it users of such a shop
# are logged out by round robin.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sticky::Test;
use Sticky::Apps qw/ apps app published compared /;
use Sticky::AppsDiscovered qw/ proposes /;
use Sticky::AppsShops qw/ walk_all walk_two /;

my ($fpm) = glob '/usr/sbin/php-fpm*';
apps($fpm // '/usr/sbin/php-fpm');

my $t = Test::Nginx->new()->has(qw/ http fastcgi /)->plan(6);
my $dir = $t->testdir();

# As root it must be told that this is meant.
my $user = $> == 0 ? 'user = root' : '';
my $pools = '';
for my $port (map { port($_) } 8081 .. 8083) {
    mkdir "$dir/sessions_$port";
    $pools .= <<"EOC";
[fpm-$port]
$user
listen = 127.0.0.1:$port
pm = static
pm.max_children = 2
env[SHOP_NAME] = fpm-$port
php_admin_value[session.save_path] = $dir/sessions_$port
php_admin_value[session.use_only_cookies] = 0
php_admin_value[session.use_trans_sid] = 1
EOC
}
$t->write_file('fpm.conf', "[global]\nerror_log = $dir/fpm.log\ndaemonize = no\n$pools");
$t->run_daemon($fpm, '-F', '-y', "$dir/fpm.conf", $> == 0 ? '-R' : ());
$t->waitforsocket("127.0.0.1:" . port($_)) for 8081 .. 8083;

my %replace = ('/var/www/shop' => app('php'));

compared($t, 'php-fpm.conf', [['php-fpm', 60, sub { return { good => (walk_all(@_))[0] } }]], %replace);

published($t, 'php-fpm.conf', 1, %replace);
$t->run();
my ($whole, $servers, $lost) = walk_all(60);
is($whole, 60, 'sessions that stay whole') or diag($lost);
is($servers, 3, 'at three servers');
$t->stop();

published($t, 'php-fpm.conf', 0, %replace);
$t->run();
($whole) = walk_all(20);
cmp_ok($whole, '<', 10, 'without sticky most are lost');
$t->stop();

proposes($t, 'php-fpm.conf', [{
    title => 'php-fpm', upstream => 'php', walks => [['php-fpm', 30, \&walk]],
    line => 'sticky mode=query name=PHPSESSID;',
}], replace => \%replace);

sub walk {
    return walk_two() if $ENV{STICKY_VISITOR};
    return { good => (walk_all(@_))[0] };
}
