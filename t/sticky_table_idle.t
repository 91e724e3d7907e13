#!/usr/bin/perl

# Tests for many sticky upstreams at once: what nobody uses takes no memory and no time, and what is
# used no more time in all than one would; without this, two thousand upstreams take 2 GB and many
# seconds to start, and worker 0 does nothing but housekeeping.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::State qw/ status_of /;

use Time::HiRes qw/ sleep /;

# Kilobytes that a zone may take before it is used: nginx's own pages, and the table's header.
use constant UNUSED_ZONE => 64;

# Seconds in which nothing happens but housekeeping.
use constant IDLE => 2;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /);
plan(skip_all => 'the system does not tell how long a process has run')
    unless defined run_time($$);
$t->plan(12);

# Two thousand that nobody uses, with the default zone of 1 MB.

configure($t, 2000, '');
$t->run();
my $zero = worker_0($t);
ok(defined $zero, 'two thousand upstreams: nginx runs');
my $idle = cost($zero);
cmp_ok(shared_memory($zero), '<', 2000 * UNUSED_ZONE,
    'their zones take no memory, and the housekeeping reads none');
like(get('/u1999/?sid=unknown'), qr/200 OK.*xu1999/s, 'the last one works');

ok(reloaded($t), 'a reload');
cmp_ok(shared_memory(worker_0($t)), '<', 2000 * UNUSED_ZONE, 'reads nothing either');
ok(reload_with($t, configuration(2000, 'zone=z%d:2m')), 'another size');
cmp_ok(shared_memory(worker_0($t)), '<', 2000 * UNUSED_ZONE, 'nor that');
$t->stop();

# It is the number of zones that counts, not their size.

my ($small, $large) = map { configure($t, 2000, "zone=z%d:$_"); test_time($t) } qw/ 32k 1m /;
cmp_ok($large, '<', 3 * $small, 'nginx starts as fast as with small zones')
    or diag("$large instead of $small seconds");

# Three hundred that are used.

configure($t, 1, '');
$t->run();
is(in_use(1), 1, 'one upstream in use');
my $one = cost(worker_0($t));
$t->stop();
configure($t, 300, '');
$t->run();
is(in_use(300), 300, 'three hundred');
my $many = cost(worker_0($t));
cmp_ok($many, '<', 30 * $one, 'three hundred upstreams in use cost worker 0 hardly more than one')
    or diag("$many instead of $one seconds");
cmp_ok($idle, '<', 30 * $one, 'as do two thousand that are not')
    or diag("$idle instead of $one seconds");

sub configure {
    my ($t, @what) = @_;
    $t->write_file_expand('nginx.conf', configuration(@what));
}

# So many upstreams, each of one server that hands out a session for it.
sub configuration {
    my ($count, $zone) = @_;
    my $upstreams = join '', map {
        my $own = $zone =~ s/%d/$_/r;
        "    upstream u$_ { sticky mode=query $own; server 127.0.0.1:8081; }\n"
    } 0 .. $count - 1;
    return <<"EOC";

%%TEST_GLOBALS%%

daemon off;

worker_processes 1;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    error_log %%TESTDIR%%/error.log notice;

$upstreams
    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location ~ ^/(u\\d+)/\$ {
            proxy_pass        http://\$1;
            proxy_set_header  X-Upstream  \$1;
        }
    }

    server {
        listen        127.0.0.1:8081;
        default_type  text/html;

        location / {
            return 200 "<a href=?sid=x\$http_x_upstream>";
        }
    }
}

EOC
}

# The only worker, which does the housekeeping.
sub worker_0 {
    my ($t) = @_;
    my @workers;
    eventually(sub { @workers = workers($t); return @workers == 1 });
    return $workers[0];
}

# Lets so many upstreams hand out a session each, and returns how many have.
sub in_use {
    my ($count) = @_;
    return scalar grep { get("/u$_/") =~ /sid=xu$_>/ } 0 .. $count - 1;
}

# Kilobytes of shared memory that the process has read or written.
sub shared_memory {
    my ($pid) = @_;
    my ($kilobytes) = (status_of($pid) // '') =~ /^RssShmem:\s*(\d+)/m;
    return $kilobytes;
}

# Seconds of a processor that the process takes while nothing happens. The least of four counts: the
# others were disturbed.
sub cost {
    my ($pid) = @_;
    my @times = sort { $a <=> $b } map {
        my $before = run_time($pid);
        sleep IDLE;
        run_time($pid) - $before;
    } 1 .. 4;
    return $times[0];
}

# Seconds that it has run.
sub run_time {
    my ($pid) = @_;
    open my $file, '<', "/proc/$pid/schedstat" or return;
    my ($nanoseconds) = split ' ', <$file> // '';
    return defined $nanoseconds ? $nanoseconds / 1e9 : undef;
}

# Seconds of a processor that `nginx -t` takes, which makes the zones as a start does. The least of
# three counts: the others were disturbed.
sub test_time {
    my ($t) = @_;
    my $folder = $t->testdir();
    my @times = sort { $a <=> $b } map {
        my $before = children_time();
        system("$Test::Nginx::NGINX -t -p $folder/ -c nginx.conf -e error.log 2>/dev/null") == 0
            or die 'nginx refuses the configuration';
        children_time() - $before;
    } 1 .. 3;
    # It is empty, but the library would take it for that of a running nginx.
    unlink "$folder/nginx.pid";
    return $times[0];
}

sub children_time {
    my (undef, undef, $user, $system) = times;
    return $user + $system;
}
