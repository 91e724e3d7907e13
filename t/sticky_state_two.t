#!/usr/bin/perl

# Tests for two nginx that keep one state file and know of one id by two servers: each keeps the
# session whose server it can use. Without it, the session that began earlier wins also where its
# server is gone, and its visitor begins anew in the nginx that has no such server.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;
use Sticky::State;

use Fcntl qw/ :flock /;
use POSIX ();
use Time::HiRes qw/ sleep /;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(13);

my $conf = sub {
    my ($listen, $zone, @servers) = @_;
    my $servers = join "\n", map { "server $_;" } @servers;
    return <<"EOC";

%%TEST_GLOBALS%%

daemon off;

worker_processes 1;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    upstream u {
        sticky mode=query zone=$zone:256k state=%%TESTDIR%%/kept/u.state;
        $servers
    }

    server {
        listen       127.0.0.1:$listen;
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
mkdir "$dir/kept";
my $owner = $$;

my @all = map { '127.0.0.1:' . (8080 + $_) } 1 .. 4;
$t->write_file_expand('nginx.conf', $conf->(8080, 'one', @all));
# The second one can use none of the first one's servers but B: A is gone, C down, and D will have failed.
$t->write_file_expand('two.conf', $conf->(8090, 'two', $all[1], "$all[2] down",
    "$all[3] max_fails=1 fail_timeout=1h"));
my $text = $t->read_file('two.conf');
$text =~ s/\b(?:nginx|error|access)\.(pid|log)\b/two.$1/g;
$t->write_file('two.conf', $text);

# D is not there when the second one asks it first.
$t->run_daemon(\&handing_out, port(8080 + $_), (qw/ A B C D /)[$_ - 1]) for 1 .. 3;
$t->waitforsocket('127.0.0.1:' . port(8080 + $_)) for 1 .. 3;
$t->run();
is(served_by(get('/')), 'A', 'one nginx');
ok(eventually(sub { flaw("$dir/kept/u.state") eq '' }), 'has written the file');
my $second = run_second($dir);
my $log = "$dir/two.log";
ok(eventually(sub { served_by(second('/')) eq 'B' && contents($log) =~ /Connection refused/ }),
    'another one, where a server has failed');
$t->run_daemon(\&handing_out, port(8084), 'D');
$t->waitforsocket('127.0.0.1:' . port(8084));

# While the test has the file's lock, neither learns of the other.

my $lock = locked("$dir/kept");
my %first;
for my $n (1 .. 8) {
    my $home = served_by(get('/', 'X-Page' => "<a href=?sid=n$n>"));
    $first{$home} //= "n$n";
}
is(join('', sort keys %first), 'ABCD', 'sessions of four servers');
# So that there is no doubt which is older.
sleep 2.1;
for my $server (qw/ A C D /) {
    my $reply = second('/', 'X-Page' => "<a href=?sid=$first{$server}>");
    is(served_by($reply), 'B', "$server: the other nginx has the id from B");
}
close $lock;
ok(eventually(sub { status(second("/?sid=$first{B}")) eq 'HIT' }), 'they learn of each other');
for my $server (qw/ A C D /) {
    my $reply = second("/?sid=$first{$server}");
    is(served_by($reply) . ' ' . status($reply), 'B HIT', "$server: the session stays at B");
}

# The first one can use all servers: there the older session stays.

my $inode = sub { return (stat "$dir/kept/u.state")[1] };
for (1 .. 4) {
    my $before = $inode->();
    eventually(sub { $inode->() != $before });
}
is(join(' ', map { visit("/?sid=$first{$_}") } qw/ A C D /), 'A HIT C HIT D HIT',
    'the first one has its own sessions, which are older');

kill 'QUIT', $second;
waitpid $second, 0;
is($?, 0, 'the second one ends');
$second = undef;

$t->finish();

END {
    my $status = $?;
    kill 'KILL', $second if $second && $owner == $$;
    $? = $status;
}

sub run_second {
    my ($dir) = @_;
    my $pid = fork() // die "Can't fork: $!";
    return $pid if $pid;
    # No destructor, no END: those are the test's.
    exec $ENV{TEST_NGINX_BINARY}, '-p', $dir, '-c', 'two.conf', '-e', "$dir/two.log"
        or POSIX::_exit(127);
}

# The answer of the second nginx.
sub second {
    my @request = @_;
    return eval { get(@request, { PeerAddr => '127.0.0.1:' . port(8090) }) } // '';
}

sub contents {
    my ($file) = @_;
    open my $input, '<', $file or return '';
    local $/;
    return <$input> // '';
}

sub locked {
    my ($folder) = @_;
    open my $lock, '<', $folder or die "Can't open $folder: $!";
    flock $lock, LOCK_EX or die "Can't lock $folder: $!";
    return $lock;
}
