#!/usr/bin/perl

# Tests for state files that cannot be written: a directory in the way, or gone, another table's
# file, a lock that another process keeps, what a dead process has left. nginx goes on, says so once,
# and says when it works again; without it a full disk stops requests, or floods the log, or nobody
# hears of it.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;
use Sticky::State;
use Sticky::Traffic;

use Fcntl qw/ :flock /;
use Time::HiRes qw/ time sleep /;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(34);

$t->write_file_expand('backends.conf', backends());

my $conf = sub {
    my ($globals) = @_;
    return <<"EOC";

$globals

daemon off;

worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    error_log %%TESTDIR%%/error.log notice;

    include backends.conf;

    upstream u {
        sticky mode=query zone=u:128k state=%%TESTDIR%%/kept/u.state;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  \$sticky_status  always;

        location / {
            proxy_pass http://u;
        }
    }
}

EOC
};

my $dir = $t->testdir();
my $file = "$dir/kept/u.state";
mkdir "$dir/kept";
$t->write_file_expand('nginx.conf', $conf->('%%TEST_GLOBALS%%'));

# What a dead process has left.

$t->write_file('victim', 'not to be written to');
symlink "$dir/victim", "$file.new";
$t->run();
my %home = hand_out('/', 'id', 40);
ok(eventually(sub { -e $file }), 'a file that was left does not matter');
ok(!-l $file && -f $file, 'the file is a file');
is($t->read_file('victim'), 'not to be written to', 'nginx does not write through a link');

# No file can be made. nginx tries again every second.

mkdir "$file.new";
unlink $file;
ok(eventually(sub { log_lines($t) > 0 }), 'a directory is in the way');
sleep 2.5;
is(join("\n", log_lines($t)), 'sticky: state file "kept/u.state" cannot be written, Is a directory'
    . ' (os error 21), zone "u"', 'one line');
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'nginx serves');
rmdir "$file.new";
ok(eventually(sub { log_lines($t) > 1 }), 'it is gone');
is((log_lines($t))[1], 'sticky: state file "kept/u.state" is written again, zone "u"',
    'another line');

# No directory: nginx goes on with the one that it has found when it read the configuration.

rename "$dir/kept", "$dir/away";
unlink "$dir/away/u.state";
ok(eventually(sub { -s "$dir/away/u.state" }), 'the directory has another name: no trouble');
ok(!-e "$dir/kept", 'and another one is not made');
rename "$dir/away", "$dir/kept";
unlink $file;
ok(eventually(sub { rmdir "$dir/kept" || do { unlink $file; 0 } }), 'it is removed');
ok(eventually(sub { log_lines($t) > 2 }), 'which is noticed');
sleep 1.5;
is(join("\n", log_lines($t, 2)), 'sticky: state file "kept/u.state" cannot be written, its directory'
    . ' was removed: when it is there again, reload nginx, zone "u"', 'one line');
mkdir "$dir/kept";
ok(reload_with($t, $conf->('%%TEST_GLOBALS%%')), 'the directory is back, and nginx is reloaded');
ok(eventually(sub { log_lines($t) > 3 && -s $file }), 'the file is written again');
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'nothing is lost');
my $known = log_lines($t);

# A lock that another process keeps: only writing the file waits for it.

open my $lock, '<', "$dir/kept" or die "Can't open $dir/kept: $!";
ok(changed($file, sub { unlink $file; flock $lock, LOCK_EX; $t->write_file('kept/u.state', '') }),
    'a lock, and reason to write');
sleep 1.5;
is(-s $file, 0, 'which is not done');
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'nginx serves');
is(-s $file, 0, 'and did not wait for the file');
close $lock;
ok(eventually(sub { -s $file }), 'the lock is gone, the file is written');
ok(eventually(sub { log_lines($t) == $known + 1 }), 'that was no trouble');
like((log_lines($t))[-1], qr/"kept\/u.state" is refused, it is cut short/, 'but for the empty file');

# The file of another table.

ended($t, 'TERM');
rename $file, "$file.other";
$t->run();
my %new = hand_out('/', 'new', 40);
ok(eventually(sub { -s $file }), 'a new table');
my $lines = log_lines($t);
my $other = $t->read_file('kept/u.state.other');
rename "$file.other", $file;
ok(eventually(sub { log_lines($t) > $lines }), 'the file of another one');
sleep 1.5;
is(join("\n", log_lines($t, $lines)), 'sticky: state file "kept/u.state" is left alone, it holds the'
    . ' sessions of another table: does another nginx use it?, zone "u"', 'one line');
is($t->read_file('kept/u.state'), $other, 'the file is left alone');
unlink $file;
ok(eventually(sub { -s $file }), 'it is gone: written again');
ok(restarted($t, 'TERM'), 'restart');
is(differing(\%new, { bring_back('/', keys %new) }), 0, 'all sessions of the new table hold');

# Workers with another user than the master.

SKIP: {
    skip 'only root has workers of another user', 4 if $>;
    my ($user, $group) = (getpwnam 'nobody')[2, 3];
    my $name = getgrgid $group;
    my $globals = $t->test_globals() =~ s/user root;/user nobody $name;/r;
    $t->write_file_expand('nginx.conf', $conf->($globals));
    ended($t, 'TERM');
    chmod 0755, $dir;
    chown $user, $group, "$dir/kept", $file;
    ok(changed($file, sub { $t->run() }), 'written by a worker that is not root');
    is(join(' ', (stat $file)[4], mode_of($file)), "$user 600", 'its owner and mode');
    ok(changed($file, sub { ended($t, 'TERM') }), 'written by the master');
    is(join(' ', (stat $file)[4], mode_of($file)), "$user 600", 'for the worker to read');
    $t->run();
}
