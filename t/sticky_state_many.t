#!/usr/bin/perl

# Tests for many state files at once: one thread writes them, one after the other, in a bounded share
# of the time, and one descriptor leads to their directory; without this, three hundred upstreams
# start three hundred threads each minute, which wait for each other, and worker 0 has no descriptor
# left for clients.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;
use Sticky::State qw/ :DEFAULT status_of /;
use Sticky::Traffic;

use Fcntl qw/ :flock /;

# More than are looked at in one second.
use constant FILES => 150;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(10);

$t->write_file_expand('backends.conf', backends());

my $upstreams = join '', map { <<"EOC" } 1 .. FILES;
    upstream u$_ {
        sticky mode=query zone=u$_:32k state=kept/u$_.state;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }
EOC

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;

worker_processes 1;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    error_log %%TESTDIR%%/error.log notice;

    include backends.conf;

$upstreams
    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  \$sticky_status  always;

        location ~ ^/(u\\d+)/ {
            proxy_pass http://\$1;
        }
    }
}

EOC

my $folder = $t->testdir() . '/kept';
my @files = map { "$folder/u$_.state" } 1 .. FILES;
mkdir $folder;
$t->run();
ok(eventually(sub { FILES == grep { -s } @files }), 'all files are written when nginx starts');
my ($worker) = workers($t);
# Another one comes and goes with the lock.
ok(eventually(sub {
    return 1 == grep { (readlink // '') eq $folder } glob "/proc/$worker/fd/*";
}), 'one descriptor leads to all of them');

# What is done for all of them, while a stranger has the lock: everybody waits for it.

my %home = map { hand_out("/u$_/", "u$_-", 8) } 1 .. FILES;
my $most = 0;
open my $lock, '<', $folder or die "Can't open $folder: $!";
flock $lock, LOCK_EX or die "Can't lock $folder: $!";
unlink @files;
ok(eventually(sub {
    my ($threads) = status_of($worker) =~ /^Threads:\s*(\d+)/m;
    $most = $threads if $threads > $most;
    return $most > 1;
}), 'they are gone: somebody is to write them');
for (1 .. 20) {
    my ($threads) = status_of($worker) =~ /^Threads:\s*(\d+)/m;
    $most = $threads if $threads > $most;
    select undef, undef, undef, 0.05;
}
is($most, 2, 'one thread for all of them');
close $lock;

# That took some seconds, so there is a pause now, and then all are written, with what they lack.

my $all_there = sub { FILES == grep { -s } @files };
ok(eventually($all_there) || eventually($all_there), 'the lock is gone: all are written');
is(join('', map { flaw($_) } @files), '', 'and are whole');
# A server without sessions is in the file until a sweep has seen that it has none.
my %whole = map { file_size($_, 8) => 1 } 1, 2;
is(scalar(grep { $whole{ -s $_ } } @files), FILES, 'with all sessions');
ended($t, 'TERM');
unlink "$folder/u$_.state" for 2 .. FILES;
$t->run();
is(lost(1), 0, 'the sessions of one that is kept');
ok(lost(2) > 0, 'those of one that is not');
ok(eventually(sub { FILES == grep { -s } @files }), 'and all are there again');

sub lost {
    my ($upstream) = @_;
    my %own = map { $_ => $home{$_} } grep { /^u$upstream-/ } keys %home;
    return differing(\%own, { bring_back("/u$upstream/", keys %own) });
}
