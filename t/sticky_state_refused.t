#!/usr/bin/perl

# Tests for state files that are not believed: of somebody else, cut short, damaged, of another
# format, or no file at all. Each is set aside with one line of the log, and nginx starts; without
# it, a bad disk keeps nginx from coming up, or sends users to the wrong servers.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;
use Sticky::State;
use Sticky::Traffic;

use POSIX qw/ mkfifo /;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(42);

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    error_log %%TESTDIR%%/error.log notice;

    include backends.conf;

    upstream u {
        sticky mode=query zone=u:128k state=%%TESTDIR%%/u.state;
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

my $dir = $t->testdir();
my $file = "$dir/u.state";

$t->run();
my %home = hand_out('/', 'id', 40);
ended($t, 'TERM');
my $good = $t->read_file('u.state');
is(length $good, file_size(2, 40), 'a file of 40 sessions');

my $other = $good;
substr($other, -100, 1) ^= "\x01";
my $version = $good;
substr($version, 8, 1) = "\x01";

my $refused = 0;
for (
    ['empty',               '',                          'it is cut short'],
    ['text',                "server 10.0.0.1;\n" x 99,   'it is no state file'],
    ['a short text',        "hi\n",                      'it is cut short'],
    ['the head alone',      substr($good, 0, 64),        'it is cut short'],
    ['half of it',          substr($good, 0, 352),       'it is cut short'],
    ['without its end',     substr($good, 0, -1),        'it is cut short'],
    ['one bit flipped',     $other,                      'it is damaged'],
    ['something after it',  "$good\n",                   'it is damaged'],
    ['twice',               $good x 2,                   'it is damaged'],
    ['another format',      $version,                    'it has format 1 instead of 2'],
) {
    my ($what, $bytes, $why) = @$_;
    $t->write_file('u.state', $bytes);
    my $lines = log_lines($t);
    started($t);
    my $kept = $refused ? "u.state.refused.$refused" : 'u.state.refused';
    is(join("\n", log_lines($t, $lines)),
        "sticky: state file \"u.state\" is refused, $why, kept as \"$kept\", zone \"u\"",
        "$what: one line");
    is($t->read_file($kept), $bytes, "$what: kept aside");
    my %new = hand_out('/', 'new', 8);
    is(differing(\%new, { bring_back('/', keys %new) }), 0, "$what: nginx serves");
    ended($t, 'TERM');
    isnt($t->read_file('u.state'), $bytes, "$what: a new file") if $refused < 2;
    $refused++;
}

# The eleventh has the name of the last; the first ones stay.

for (1 .. 3) {
    $t->write_file('u.state', "number $_, not a state file");
    started($t);
    ended($t, 'TERM');
}
is(-s "$dir/u.state.refused", 0, 'the first one is never written over');
is($t->read_file('u.state.refused.10'), 'number 3, not a state file', 'the last name is');
is(scalar(() = glob "$dir/u.state.*"), 11, 'no more than that');

# What is no regular file is left alone, and nginx does not wait for it.

unlink $file;
mkfifo($file, 0600) or die "Can't make a pipe: $!";
my $lines = log_lines($t);
started($t);
my %new = hand_out('/', 'new', 8);
is(differing(\%new, { bring_back('/', keys %new) }), 0, 'a pipe: nginx serves');
ended($t, 'TERM');
like(join("\n", log_lines($t, $lines)), qr/cannot be read, it is no regular file/,
    'the log says so');
ok(-p $file, 'and it is still there');
unlink $file;

# In the running nginx.

$t->write_file('u.state', $good);
# Or the file that it writes when it starts could take the place of the next one.
changed($file, sub { $t->run() });
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'the good one again');
$lines = log_lines($t);
$t->write_file('u.state', 'not a state file');
ended($t, 'TERM');
like(join("\n", log_lines($t, $lines)), qr/refused, it is no state file/,
    'found when it is written');
is(length $t->read_file('u.state'), file_size(2, 40), 'and replaced');

# For the library to end.
$t->run();
