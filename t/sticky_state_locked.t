#!/usr/bin/perl

# Tests for a stranger that has the lock of a state file's directory when nginx starts and ends:
# nginx waits two seconds in all, and says so in one line; without this, any program of the workers'
# user makes each restart take half a minute, and each file adds to it.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;
use Sticky::State;
use Sticky::Traffic;

use Fcntl qw/ :flock /;
use Time::HiRes qw/ time /;

# With so many files, each waiting for itself would take longer than a start or an end may on a slow
# machine, in seconds.
use constant { FILES => 20, SLOWEST => 20 };

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(17);

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

worker_processes 2;

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

        location ~ ^/(u\\d+)/ {
            proxy_pass http://\$1;
        }
    }
}

EOC

my $dir = $t->testdir();
my @files = map { "kept/u$_.state" } 1 .. FILES;
mkdir "$dir/kept";
my $why = 'another process has locked its directory for too long';

$t->run();
my %home = map { hand_out("/u$_/", "u$_-", 8) } 1 .. FILES;
restarted($t, 'TERM');
is(scalar(grep { flaw("$dir/$_") eq '' } @files), FILES, 'all files are there');

# At the end, however nginx is told.

for my $signal (qw/ TERM QUIT /) {
    my $lock = locked("$dir/kept");
    my %before = map { $_ => contents("$dir/$_") } @files;
    my $lines = log_lines($t);
    my $begun = time();
    ok(ended($t, $signal), "$signal: nginx ends");
    my $took = time() - $begun;
    cmp_ok($took, '<', SLOWEST, "$signal: soon");
    cmp_ok($took, '>', 1.9, "$signal: after it has waited");
    is(scalar(grep { contents("$dir/$_") ne $before{$_} } @files), 0,
        "$signal: the files are as they were");
    is(join("\n", sort(log_lines($t, $lines))), join("\n", sort map {
        "sticky: state file \"kept/u$_.state\" cannot be written, $why, zone \"u$_\""
    } 1 .. FILES), "$signal: one line for each");
    close $lock;
    $t->run();
}

# When nginx starts, a lock is needed for files that are damaged.

ended($t, 'TERM');
$t->write_file($_, 'no state file') for @files;
my $lines = log_lines($t);
my $lock = locked("$dir/kept");
my $begun = time();
ok(started($t), 'nginx starts with damaged files');
cmp_ok(time() - $begun, '<', SLOWEST, 'soon');
is(join("\n", sort(grep { /read/ } log_lines($t, $lines))), join("\n", sort map {
    "sticky: state file \"kept/u$_.state\" cannot be read, $why, zone \"u$_\""
} 1 .. FILES), 'one line for each');
is($t->read_file($files[0]), 'no state file', 'which is left alone');
close $lock;
ok(eventually(sub { FILES == grep { -e "$dir/$_.refused" } @files }),
    'the lock is gone: they are set aside');
ok(eventually(sub { FILES == grep { -e "$dir/$_" && flaw("$dir/$_") eq '' } @files }),
    'and replaced');

sub locked {
    my ($folder) = @_;
    open my $lock, '<', $folder or die "Can't open $folder: $!";
    flock $lock, LOCK_EX or die "Can't lock $folder: $!";
    return $lock;
}

sub contents {
    my ($file) = @_;
    open my $input, '<:raw', $file or return '';
    local $/;
    return scalar <$input>;
}
