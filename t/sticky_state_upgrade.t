#!/usr/bin/perl

# Tests for an upgrade of nginx's binary with state=FILE: two nginx serve side by side, and each
# learns of the other's sessions, forwards and on the way back; without it an upgrade logs out all
# users, and the file of one of the two destroys the other's.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;
use Sticky::State;
use Sticky::Traffic;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(21);

$t->write_file_expand('backends.conf', backends());

my $conf = sub {
    my ($zone) = @_;
    return <<"EOC";

%%TEST_GLOBALS%%

worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    error_log %%TESTDIR%%/error.log notice;

    include backends.conf;

    upstream u {
        sticky mode=query zone=$zone state=%%TESTDIR%%/u.state;
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
$t->write_file_expand('nginx.conf', $conf->('u:256k'));

# nginx refuses to upgrade while the process that has started it is there, so it is a daemon, and no
# child of the test: whatever happens, none must stay.
my $owner = $$;
END { end_all($dir) if defined $owner && $owner == $$ }

ok(daemon_runs($t), 'nginx runs');

my %home = hand_out('/', 'first', 200);
is(lost(), 0, 'all sessions hold');

SKIP: {
# It was started by way of a dynamic linker that is not the system's.
skip 'this nginx cannot start itself again', 19
    if (readlink('/proc/' . master($t) . '/exe') // '') =~ /\/ld-[^\/]*$/;

# Both serve. What one learns, the other knows soon.

my $old = upgraded();
ok($old, 'another nginx has started');
%home = (%home, hand_out('/', 'both', 200));
ok(eventually(sub { lost() == 0 && lost() == 0 && lost() == 0 }),
    'each knows what both have learned');

# The old one goes to rest; the new one is alone.

retired($old);
is(lost(), 0, 'the new one alone: all sessions hold');
%home = (%home, hand_out('/', 'new', 200));
is(lost(), 0, 'and new ones');

# The way back.

my $new = master($t);
my @workers = workers_of($new);
kill 'HUP', $old;
ok(eventually(sub { workers_of($old) == 2 }), 'the old one serves again');
kill 'QUIT', $new;
ok(eventually(sub { !grep { kill 0, $_ } $new, @workers }), 'the new one has ended');
ok(eventually(sub { lost() == 0 }), 'the old one alone: all sessions hold');
%home = (%home, hand_out('/', 'back', 200));

# Forward again, now for good, into a zone of another size.

$t->write_file_expand('nginx.conf', $conf->('u:128k'));
is(upgraded(), $old, 'another one');
retired($old);
is(lost(), 0, 'all sessions hold');
kill 'QUIT', $old;
ok(eventually(sub { !kill 0, $old }), 'the old one has ended');
is(lost(), 0, 'its end takes nothing away');
ended($t, 'TERM');
ok(daemon_runs($t), 'and a restart');
is(lost(), 0, 'neither');
is(scalar(keys %home), 800, 'of so many');

# It has happened that nobody waits: USR2 and QUIT at once.

%home = (%home, hand_out('/', 'late', 100));
$old = master($t);
my @old = workers_of($old);
kill 'USR2', $old;
ok(eventually(sub { -e "$dir/nginx.pid.oldbin" && -e "$dir/nginx.pid" }), 'an upgrade in haste');
kill 'QUIT', $old;
ok(eventually(sub { !grep { kill 0, $_ } $old, @old }), 'the old one has ended');
ok(eventually(sub { workers_of(master($t)) == 2 && lost() == 0 }), 'all sessions hold');

my @odd = grep { !/ is read, \d+ sessions/ } log_lines($t);
is(join("\n", @odd), '', 'nothing to complain about');
my @bad = $t->read_file('error.log') =~ /\[(?:error|crit|alert|emerg)\].*/g;
is(join("\n", @bad), '', 'nowhere');

}

# Starts nginx. Where the process that was started has left before its child has written the file,
# the library takes that for a failure.
sub daemon_runs {
    my ($nginx) = @_;
    eval { $nginx->run() };
    return eventually(sub {
        my ($master) = masters('nginx.pid');
        return defined $master && workers_of($master) == 2;
    });
}

sub lost { return differing(\%home, { bring_back('/', keys %home) }) }

# Starts another nginx beside the one that serves, and returns the number of that one.
sub upgraded {
    my ($old) = masters('nginx.pid');
    kill 'USR2', $old;
    return eventually(sub {
        my ($new) = masters('nginx.pid', 'nginx.pid.oldbin');
        return defined $new && $new != $old && workers_of($new) == 2;
    }) && $old;
}

# Sends the workers home, and waits until the other nginx has what they knew.
sub retired {
    my ($old) = @_;
    my @old = workers_of($old);
    kill 'WINCH', $old;
    eventually(sub { !grep { kill 0, $_ } @old });
    return eventually(sub { lost() == 0 });
}

# The masters that these files name, where they are all there.
sub masters {
    my @names = map { contents($_) =~ /(\d+)/ } @_;
    return @names == @_ ? @names : ();
}

# The workers of one of the two: the log says who has started whom.
sub workers_of {
    my ($master) = @_;
    my %started = map { $_ => 1 } contents('error.log') =~ /\b$master#\d+: start worker process (\d+)/g;
    return grep { kill 0, $_ } sort keys %started;
}

sub contents {
    my ($name) = @_;
    open my $file, '<', "$dir/$name" or return '';
    local $/;
    return <$file> // '';
}
