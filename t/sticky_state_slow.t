#!/usr/bin/perl

# Tests for state files that take long to write: nginx writes the next one later, so that it spends
# a small part of its time on that; without this a slow disk is written to without a pause.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;
use Sticky::State;

use Fcntl qw/ :flock /;
use File::Copy qw/ copy /;
use Time::HiRes qw/ sleep time /;

# Seconds that one file takes, and for how many times as long there is none afterwards.
use constant { TAKES => 2, PAUSE => 20 };

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(5);

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    upstream u {
        sticky mode=query zone=u:128k state=%%TESTDIR%%/kept/u.state;
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

my $folder = $t->testdir() . '/kept';
my $file = "$folder/u.state";
mkdir $folder;
$t->run();
ok(eventually(sub { -s $file }), 'the file is written when nginx starts');

# A file that another process has put there is a reason to write within a second or two.

my $inode = replaced();
ok(eventually(sub { inode() != $inode }), 'another file: written again');

# Writing takes as long as another process has the lock of the folder.

my ($is_waiting, $is_written, $is_paused);
for my $round (1 .. 5) {
    open my $lock, '<', $folder or die "Can't open $folder: $!";
    flock $lock, LOCK_EX or die "Can't lock $folder: $!";
    my $begun = time();
    $inode = replaced();
    # Beside the descriptor that all of them have inherited.
    $is_waiting = eventually(sub { grep { has_open($_, $folder) > 1 } workers($t) });
    sleep TAKES;
    close $lock;
    $is_written = eventually(sub { inode() != $inode });

    $inode = replaced();
    sleep 5;
    $is_paused = inode() == $inode;
    # On a machine that was too slow the pause may have been over: then this tells nothing.
    last if time() - $begun < PAUSE * TAKES;
}
ok($is_waiting, 'nginx waits for the lock');
ok($is_written, 'the lock is gone: written');
ok($is_paused, 'another file so soon: not written yet');

# Puts a copy in the place of the file, and returns its inode.
sub replaced {
    copy($file, "$folder/copy") or die "Can't copy: $!";
    my $copied = (stat "$folder/copy")[1];
    rename "$folder/copy", $file or die "Can't rename: $!";
    return $copied;
}

sub inode { return (stat $file)[1] }

sub has_open {
    my ($pid, $path) = @_;
    return scalar grep { (readlink // '') eq $path } glob "/proc/$pid/fd/*";
}
