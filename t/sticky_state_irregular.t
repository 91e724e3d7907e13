#!/usr/bin/perl

# Tests for what the workers' user can put at the place of a state file, or of its directory: that
# is trouble for the log, never for the start, and no way to have root write somewhere else; without
# this, one mkdir keeps nginx from being started, tested or reloaded.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Configuration qw/ verdict /;
use Sticky::Nginx;
use Sticky::Pages;
use Sticky::State;
use Sticky::Traffic;

use IO::Socket::UNIX;
use POSIX qw/ mkfifo /;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(49);

$t->write_file_expand('backends.conf', backends());
$t->write_file('case.conf', '');

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
    include case.conf;

    upstream u {
        sticky mode=query zone=u:128k state=kept/u.state;
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
mkdir "$dir/victim";
$t->write_file('victim/u.state', 'not to be touched');
$t->write_file_expand('nginx.conf', $conf->('%%TEST_GLOBALS%%'));

# Whatever has the name of the file.

my $odd = 'sticky: state file "kept/u.state" cannot be read, it is no regular file, zone "u"';
my $socket;
for (
    ['a directory',             sub { mkdir $file },                            sub { rmdir $file }],
    ['a link',                  sub { symlink "$dir/victim/u.state", $file },   sub { unlink $file }],
    ['a link to a directory',   sub { symlink "$dir/victim", $file },           sub { unlink $file }],
    ['a link to nothing',       sub { symlink "$dir/nothing", $file },          sub { unlink $file }],
    ['a pipe',                  sub { mkfifo($file, 0600) },                    sub { unlink $file }],
    ['a socket',                sub {
        $socket = IO::Socket::UNIX->new(Local => $file, Listen => 1);
    }, sub { unlink $file }],
) {
    my ($what, $put, $take) = @$_;
    unlink $file;
    $put->() or die "Can't make $what: $!";
    is(verdict($t, ''), '', "$what: nginx -t accepts it");
    unlink "$dir/nginx.pid";
    my $lines = log_lines($t);
    ok(started($t), "$what: nginx starts");
    ok(reload_with($t, $conf->('%%TEST_GLOBALS%%')), "$what: and is reloaded");
    my %home = hand_out('/', 'id', 16);
    is(differing(\%home, { bring_back('/', keys %home) }), 0, "$what: it serves");
    my %said = map { $_ => 1 } log_lines($t, $lines);
    is(join("\n", sort keys %said), $odd, "$what: the log says so");
    $take->() or die "Can't remove $what: $!";
    ok(eventually(sub { -f $file && flaw($file) eq '' }), "$what: it is gone, the file is written");
    ended($t, 'TERM');
}
is($t->read_file('victim/u.state'), 'not to be touched', 'no link was followed');
ok(!-e "$dir/nothing", 'nor that');

# The directory is the one that nginx found when it read the configuration.

$t->run();
my %home = hand_out('/', 'moved', 40);
rename "$dir/kept", "$dir/away" or die "Can't rename: $!";
symlink "$dir/victim", "$dir/kept" or die "Can't make a link: $!";
my $lines = log_lines($t);
ended($t, 'TERM');
is(flaw("$dir/away/u.state"), '', 'a directory that is replaced: the file is where it was');
is(join(' ', map { s!.*/!!r } glob "$dir/victim/*"), 'u.state', 'nothing is put elsewhere');
is($t->read_file('victim/u.state'), 'not to be touched', 'nor replaced there');
is(join("\n", log_lines($t, $lines)), '', 'that was no trouble');
unlink "$dir/kept";
rename "$dir/away", "$dir/kept" or die "Can't rename: $!";
$t->run();
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'back in its place: all sessions hold');

# Who could replace it as root goes on, may.

SKIP: {
    skip 'only root has workers of another user', 6 if $>;
    my ($user, $group) = (getpwnam 'nobody')[2, 3];
    my $name = getgrgid $group;
    my $globals = $t->test_globals() =~ s/user root;/user nobody $name;/r;
    ended($t, 'TERM');
    mkdir "$dir/above";
    chmod 0755, $dir;
    chmod 0700, "$dir/kept";
    chown $user, $group, "$dir/kept";
    $t->write_file_expand('nginx.conf', $conf->($globals));
    is(verdict($t, ''), '', 'the user has the directory alone: no warning');
    $t->write_file_expand('nginx.conf', $conf->($globals) =~ s!kept/!above/kept/!r);
    rename "$dir/kept", "$dir/above/kept" or die "Can't rename: $!";
    my $warned = sub {
        my ($above) = @_;
        return qq{nginx: [warn] sticky: state file "above/kept/u.state" is in a directory that the}
            . qq{ user of the workers can replace: let root own "$above" and what is above,}
            . qq{ zone "u"\n};
    };
    is(verdict($t, ''), '', 'nor with one above it that is not');
    chown $user, 0, "$dir/above";
    is(verdict($t, ''), $warned->('above'), 'the one above too: one warning');
    chown 0, $group, "$dir/above";
    chmod 0775, "$dir/above";
    is(verdict($t, ''), $warned->('above'), 'or by its group');
    chmod 01777, "$dir/above";
    is(verdict($t, ''), $warned->('above'), 'or as one of all, and the entry is its own');
    chown 0, $group, "$dir/above/kept";
    chmod 0770, "$dir/above/kept";
    is(verdict($t, ''), '', 'but not where the entry is another one\'s');
    rename "$dir/above/kept", "$dir/kept";
    unlink "$dir/nginx.pid";
    $t->write_file_expand('nginx.conf', $conf->('%%TEST_GLOBALS%%'));
    $t->run();
}
