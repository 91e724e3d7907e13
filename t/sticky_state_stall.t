#!/usr/bin/perl

# Tests for housekeeping that has taken long, here since the log could not be written: the next
# time comes a second after its end; without this it comes at once, and a worker that is behind does
# nothing else any more.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;
use Sticky::State;

use Fcntl qw/ O_RDWR O_NONBLOCK /;
use POSIX qw/ mkfifo /;
use Time::HiRes qw/ clock_gettime sleep CLOCK_MONOTONIC /;

# Milliseconds by which nginx's clock may be behind the system's.
use constant COARSE => 20;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /);
plan(skip_all => 'this nginx has no debug log')
    unless `$Test::Nginx::NGINX -V 2>&1` =~ /--with-debug\b/;
$t->plan(5);

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

worker_processes 1;

# Its lines of housekeeping are the only ones of this level.
error_log %%TESTDIR%%/pipe error;
error_log %%TESTDIR%%/error.log debug;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    upstream u {
        sticky mode=query zone=u:32k state=u.state;
        server 127.0.0.1:8081;
    }
}

EOC

my $dir = $t->testdir();
mkfifo("$dir/pipe", 0600) or die "Can't make a pipe: $!";
sysopen my $pipe, "$dir/pipe", O_RDWR | O_NONBLOCK or die "Can't open the pipe: $!";
$t->run();
my ($worker) = eventually(sub { workers($t) == 1 }) ? workers($t) : ();
ok(eventually(sub { -s "$dir/u.state" }), 'the file is written');

# The pipe is full, and there is something for the log.

1 while syswrite $pipe, 'x' x 4096;
1 while syswrite $pipe, 'x';
unlink "$dir/u.state";
mkdir "$dir/u.state";
ok(eventually(sub { wchan($worker) =~ /pipe/ }), 'worker 0 waits for the pipe');
sleep 2;
my @before = timers($t);
my $now = 1000 * clock_gettime(CLOCK_MONOTONIC);
1 while sysread $pipe, my $rest, 65536;
ok(eventually(sub { timers($t) > @before }), 'it goes on');
my $next = (timers($t))[scalar @before];
cmp_ok($next, '>=', $now + 1000 - COARSE, 'a second later')
    or diag($now + 1000 - $next, ' ms too early');
cmp_ok($before[-1], '<', $now - 1000, 'as the clock shows');
rmdir "$dir/u.state";

# When the timers of the housekeeping that have fired were due, in milliseconds of nginx's clock: they
# belong to no connection.
sub timers {
    my ($t) = @_;
    my %due = map { $_ => 1 } $t->read_file('error.log') =~ /event timer del: -1: (\d+)$/mg;
    my @due = sort { $a <=> $b } keys %due;
    return @due;
}

# What in the system the process waits for.
sub wchan {
    my ($pid) = @_;
    open my $file, '<', "/proc/$pid/wchan" or return '';
    return <$file> // '';
}
