#!/usr/bin/perl

# Tests for a zone that was to be replaced by one of another size and is not, because the reload has
# failed, or because the new nginx of an upgrade has ended: its last worker writes the state file as
# ever. Without it, another nginx that takes over then does not know the latest sessions.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Binary;
use Sticky::Pages;
use Sticky::State;
use Sticky::Traffic;

use Time::HiRes qw/ sleep /;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(12);

$t->write_file_expand('backends.conf', backends());

my $conf = sub {
    my ($size, $listen) = @_;
    return <<"EOC";

%%TEST_GLOBALS%%

worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    upstream u {
        sticky mode=query zone=z:$size state=%%TESTDIR%%/u.state;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    server {
        listen       127.0.0.1:8080;
        $listen
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
my $file = "$dir/u.state";
my $configure = sub {
    $t->write_file_expand('nginx.conf', $conf->(@_));
    without_debug($t);
};
$configure->('128k', '');

# Whatever happens, none must stay.
my $owner = $$;
END { end_all($dir) if defined $owner && $owner == $$ }

ok(daemon_runs($t), 'nginx runs');
my $master = master($t);
ok(eventually(sub { flaw($file) eq '' }), 'the file is there');

# A reload that fails after the new zone was made.

$configure->('256k', 'listen 192.0.2.1:1;');
kill 'HUP', $master;
ok(eventually(sub { $t->read_file('error.log') =~ /\[emerg\].*192\.0\.2\.1/ }), 'a reload fails');
hand_out('/', 'failed', 40);
my @workers = workers_of($t, $master);
kill 'WINCH', $master;
ok(all_gone(@workers), 'the workers end');
is(-s $file, file_size(2, 40), 'the file has the sessions that began after it');

# The same with one that succeeds: the zone that replaces it is written.

$configure->('256k', '');
kill 'HUP', $master;
ok(eventually(sub { workers_of($t, $master) == 2 && code(get('/')) eq '200' }), 'nginx goes on');
hand_out('/', 'larger', 40);
@workers = workers_of($t, $master);
kill 'WINCH', $master;
ok(all_gone(@workers), 'the workers end');
is(-s $file, file_size(2, 80), 'the file has all sessions');

SKIP: {
skip 'this nginx cannot start itself again', 4 if !can_upgrade($t);

# A new nginx with another size, which ends.

kill 'HUP', $master;
ok(eventually(sub { workers_of($t, $master) == 2 && code(get('/')) eq '200' }), 'nginx goes on');
$configure->('128k', '');
is(upgraded($t), $master, 'an upgrade');
my $new = master($t);
my @new = workers_of($t, $new);
kill 'QUIT', $new;
all_gone($new, @new);
# Until the old one has written what the new one has left.
sleep 2.1;
hand_out('/', 'back', 40);
@workers = workers_of($t, $master);
kill 'WINCH', $master;
ok(all_gone(@workers), 'the way back; the workers end');
is(-s $file, file_size(2, 120), 'the file has all sessions');

}

$t->finish();
