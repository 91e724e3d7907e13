#!/usr/bin/perl

# Tests for an upgrade of nginx's binary with state=FILE where the new nginx cannot use the table of
# the old one, because its zone has another name, as it may have another version of the module: two
# nginx serve side by side, and each learns of the other's sessions by the file, forwards and on the
# way back; without it such an upgrade logs out all users, and the file of one of the two destroys the
# other's.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Binary;
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

# Whatever happens, none must stay.
my $owner = $$;
END { end_all($dir) if defined $owner && $owner == $$ }

ok(daemon_runs($t), 'nginx runs');

my %home = hand_out('/', 'first', 200);
is(lost(), 0, 'all sessions hold');

SKIP: {
skip 'this nginx cannot start itself again', 19 if !can_upgrade($t);

# Both serve. What one learns, the other knows soon.

$t->write_file_expand('nginx.conf', $conf->('v:256k'));
my $old = upgraded($t);
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
my @workers = workers_of($t, $new);
kill 'HUP', $old;
ok(eventually(sub { workers_of($t, $old) == 2 }), 'the old one serves again');
kill 'QUIT', $new;
ok(all_gone($new, @workers), 'the new one has ended');
ok(eventually(sub { lost() == 0 }), 'the old one alone: all sessions hold');
%home = (%home, hand_out('/', 'back', 200));

# Forward again, now for good, into a zone of another size.

$t->write_file_expand('nginx.conf', $conf->('w:128k'));
is(upgraded($t), $old, 'another one');
retired($old);
is(lost(), 0, 'all sessions hold');
kill 'QUIT', $old;
ok(all_gone($old), 'the old one has ended');
is(lost(), 0, 'its end takes nothing away');
ended($t, 'TERM');
ok(daemon_runs($t), 'and a restart');
is(lost(), 0, 'neither');
is(scalar(keys %home), 800, 'of so many');

# It has happened that nobody waits: USR2 and QUIT at once.

%home = (%home, hand_out('/', 'late', 100));
$old = master($t);
my @old = workers_of($t, $old);
kill 'USR2', $old;
ok(eventually(sub { -e "$dir/nginx.pid.oldbin" && -e "$dir/nginx.pid" }), 'an upgrade in haste');
kill 'QUIT', $old;
ok(all_gone($old, @old), 'the old one has ended');
ok(eventually(sub { workers_of($t, master($t)) == 2 && lost() == 0 }), 'all sessions hold');

my @odd = grep { !/ is read, \d+ sessions/ } log_lines($t);
is(join("\n", @odd), '', 'nothing to complain about');
my @bad = $t->read_file('error.log') =~ /\[(?:error|crit|alert|emerg)\].*/g;
is(join("\n", @bad), '', 'nowhere');

}

sub lost { return differing(\%home, { bring_back('/', keys %home) }) }

# Sends the workers home, and waits until the other nginx has what they knew.
sub retired {
    my ($old) = @_;
    my @old = workers_of($t, $old);
    kill 'WINCH', $old;
    all_gone(@old);
    return eventually(sub { lost() == 0 });
}
