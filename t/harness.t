#!/usr/bin/perl

# Tests for the harness in lib/Test/Nginx.pm, on an nginx without the module; without a harness
# that notices failures, every other test here would pass for nothing.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;

use File::Spec;
use IO::Socket::INET;
use POSIX qw/ WNOHANG /;
use Time::HiRes qw/ sleep /;

# The module has no part in this, and may not even be built yet.
$ENV{TEST_NGINX_GLOBALS} = $> == 0 ? 'user root;' : '';
delete $ENV{TEST_NGINX_GLOBALS_HTTP};

my $t = Test::Nginx->new()->has(qw/http proxy gzip rewrite/)->plan(35);

# Not $t itself: a named sub that holds it would keep it from ending in time.
my $testdir = $t->testdir();

my $configuration = <<'EOC';

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location / {
            return 200 "first $request_method\n";
        }

        location /file {
            alias %%TESTDIR%%/file;
        }

        location /second-port {
            return 200 "%%PORT_8081%%\n";
        }

        location /proxy {
            proxy_pass http://127.0.0.1:8081;
        }

        location /body {
            proxy_pass http://127.0.0.1:8081;
        }

        location /gzip {
            gzip on;
            gzip_min_length 0;
            default_type text/html;
            alias %%TESTDIR%%/file;
        }

        location /chunked {
            default_type text/html;
            proxy_http_version 1.1;
            proxy_pass http://127.0.0.1:8081;
        }
    }
}

EOC

$t->write_file_expand('nginx.conf', $configuration);
$t->write_file('file', "content of a file\n");
$t->run_daemon(\&echo_daemon, port(8081));
$t->run()->waitforsocket('127.0.0.1:' . port(8081));

# ports and files

is(port(8080), port(8080), 'port is the same when asked again');
isnt(port(8080), port(8081), 'two numbers are two ports');
is(http_content(http_get('/second-port')), port(8081) . "\n", 'PORT_8081 expanded');
is($t->read_file('file'), "content of a file\n", 'file read back');
like($t->testdir(), qr!^/.+nginx-test-!, 'directory of its own');
like($t->read_file('nginx.conf'), qr/^\h*root \Q${\ $t->testdir() }\E;/m, 'http globals expanded');
unlike($t->read_file('nginx.conf'), qr/%%/, 'nothing left to expand');

# features

ok($t->has_module('proxy'), 'module that is built in');
ok(!$t->has_module('no_such_module_at_all'), 'module that does not exist');
ok($t->has_version('1.0'), 'version older than this one');
ok(!$t->has_version('99.1'), 'version newer than this one');

# requests

like(http_get('/'), qr!^HTTP/1.1 200 OK.*\x0d\x0a\x0d\x0afirst GET$!ms, 'get');
like(http_head('/'), qr!^HTTP/1.1 200 OK.*\x0d\x0a\x0d\x0a\z!ms, 'head has no body');
like(http_get('/file'), qr/content of a file/, 'file served');
like(http_get('/proxy'), qr/GET \/proxy/, 'daemon answers through nginx');
like(http("POST /body HTTP/1.0\nHost: localhost\nContent-Length: 5\n\n", body => 'hello'),
    qr/hello$/, 'body sent after the request');
my $chunked = http("GET /chunked HTTP/1.1\nHost: localhost\nConnection: close\n\n");
like($chunked, qr/^Transfer-Encoding: chunked/m, 'chunked');
is(http_content($chunked), 'one two', 'chunks joined');

my $socket = http_start("GET / HTTP/1.1\nHost: localhost\n\n");
ok($socket, 'started');
like(http_end(http("GET /file HTTP/1.0\nHost: localhost\n\n", socket => $socket, start => 1)),
    qr/first GET.*content of a file/s, 'two requests on one connection');

my $packed = http_gzip_request('/gzip');
like($packed, qr/Content-Encoding: gzip/, 'packed');
http_gzip_like($packed, qr/^content of a file$/m, 'unpacked');

# reload, without a refused connection

my $old = http_get('/');
$t->write_file_expand('nginx.conf', $configuration =~ s/first/second/r);
$t->reload();
my $new;
for (1 .. 1200) {
    $new = http_get('/');
    last if $new =~ /second/;
    sleep 0.05;
}
like($old, qr/first/, 'before reload');
like($new, qr/second/, 'after reload');

# what becomes of a failing test

my ($status, $output) = test_file('->plan(1)', 'ok(1);');
is($status, 0, 'test of a clean nginx passes');
like($output, qr/^1\.\.3$/m, 'two tests added to the plan');
like($output, qr/^ok 3 - no sanitizer errors$/m, 'added tests run');

($status, $output) = test_file('->plan(1)', 'ok(1); alert();');
isnt($status, 0, 'alert fails the test');
like($output, qr/^not ok 2 - no alerts$/m, 'alert named');

($status, $output) = test_file('->todo_alerts()->plan(1)', 'ok(1); alert();');
is($status, 0, 'awaited alert does not fail the test');

($status, $output) = test_file('->plan(2)', 'ok(1);');
isnt($status, 0, 'missing test fails');

($status, $output) = test_file('->has("no_such_module_at_all")->plan(1)', 'ok(0);');
like($output, qr/^1\.\.0 # SKIP no no_such_module_at_all available$/m, 'missing feature skips');

($status, $output) = test_file('->plan(1)', 'ok(1);', 'wrong;');
isnt($status, 0, 'refused configuration fails the test');

($status, $output)
    = test_file('', 'plan(skip_all => "not skipped");', 'wrong;', 'try_run("no wrong")');
like($output, qr/^1\.\.0 # SKIP no wrong$/m, 'refused configuration skips when tried');

SKIP: {
    skip 'nginx\'s library leaves its nginx behind', 1 unless Test::Nginx->can('finish');

    ($status, $output) = test_file('->plan(1)',
        'print "PID ", $t->read_file("nginx.pid"); kill "TERM", $$; sleep 1; ok(1);');
    my ($pid) = $output =~ /PID (\d+)/;
    # It may take a moment to be gone, on a loaded machine a long one.
    my $left = 1;
    for (1 .. 600) {
        $left = $pid && kill(0, $pid) or last;
        select undef, undef, undef, 0.1;
    }
    ok($pid && !$left, 'nginx ends with an interrupted test');
    kill 'TERM', $pid if $left;
}

sub slurp {
    open my $file, '<', shift or return '';
    local $/;
    return scalar <$file> // '';
}

# Runs a small test file and returns its exit status and output.
sub test_file {
    my ($how, $body, $directive, $start) = @_;
    $directive //= '';
    $start //= 'run()';

    my $script = <<"EOS";
use strict; use warnings; use Test::More; use Test::Nginx;
my \$t = Test::Nginx->new()$how;
sub alert { open my \$log, '>>', shift or die; print {\$log} "1970 [alert] made up\\n" }
\$t->write_file_expand('nginx.conf', <<'EOC');
%%TEST_GLOBALS%%
daemon off;
$directive
events { }
http { %%TEST_GLOBALS_HTTP%%
    server { listen 127.0.0.1:8080; } }
EOC
\$t->$start;
$body
EOS
    $script =~ s/alert\(\);/alert(\$t->testdir() . "\/error.log");/;

    local %ENV = %ENV;
    delete @ENV{qw/ TEST_NGINX_LEAVE TEST_NGINX_CATLOG TEST_NGINX_VERBOSE HARNESS_ACTIVE /};

    # Into a file: an nginx that is left behind would keep a pipe open.
    my $said = "$testdir/said";
    my $pid = fork() // die "Can't fork: $!";
    if ($pid == 0) {
        open STDOUT, '>', $said;
        open STDERR, '>&', \*STDOUT;
        my @folders = map { File::Spec->rel2abs($_) } grep { !ref } @INC;
        exec($^X, (map { "-I$_" } @folders), '-e', $script) or die "Can't run perl: $!";
    }
    for (1 .. 6000) {
        return ($?, slurp($said)) if waitpid($pid, WNOHANG);
        sleep 0.05;
    }
    kill 'TERM', $pid;
    waitpid $pid, 0;

    return (-1, slurp($said));
}

# Answers with the request itself; /chunked in two chunks.
sub echo_daemon {
    my ($port) = @_;

    my $server = IO::Socket::INET->new(
        Proto => 'tcp', LocalAddr => "127.0.0.1:$port", Listen => 5, ReuseAddr => 1,
    ) or die "Can't listen: $!";

    local $SIG{PIPE} = 'IGNORE';

    while (my $client = $server->accept()) {
        $client->autoflush(1);

        my ($head, $length) = ('', 0);
        while (my $line = <$client>) {
            $head .= $line;
            $length = $1 if $line =~ /^content-length: (\d+)/i;
            last if $line =~ /^\x0d?\x0a?$/;
        }
        my $body = '';
        read $client, $body, $length if $length;

        if ($head =~ m!^GET /chunked!) {
            print {$client} "HTTP/1.1 200 OK\x0d\x0aTransfer-Encoding: chunked\x0d\x0a"
                . "Connection: close\x0d\x0a\x0d\x0a"
                . "4\x0d\x0aone \x0d\x0a3\x0d\x0atwo\x0d\x0a0\x0d\x0a\x0d\x0a";
        } else {
            print {$client} "HTTP/1.0 200 OK\x0d\x0a\x0d\x0a$head$body";
        }
        close $client;
    }
}
