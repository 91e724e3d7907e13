#!/usr/bin/perl

# Tests for learn=request: the first request with an id begins its session, at the server that is
# chosen, and an answer keeps it; without it, a client that makes its id itself is never where its
# state is, or any request leaves a session behind.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/
    http proxy rewrite cache mirror ssi auth_request upstream_zone
/)->plan(65);

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    proxy_http_version 1.0;
    proxy_cache_path %%TESTDIR%%/cache keys_zone=cache:1m;

    upstream u {
        sticky mode=query from=query,header:X-Session,cookie learn=html,request;
        server 127.0.0.1:8081 max_fails=0;
        server 127.0.0.1:8082 max_fails=0;
        server 127.0.0.1:8083 max_fails=0;
    }

    upstream strict {
        sticky mode=query learn=request no_fallback;
        server 127.0.0.1:8081 max_fails=0;
        server 127.0.0.1:8082 max_fails=0;
    }

    upstream local {
        sticky mode=query learn=request zone=off;
        server 127.0.0.1:8081 max_fails=0;
        server 127.0.0.1:8082 max_fails=0;
        server 127.0.0.1:8083 max_fails=0;
    }

    upstream one {
        sticky mode=query learn=request;
        server 127.0.0.1:8081 max_fails=0;
    }

    upstream slow {
        sticky mode=query learn=request;
        server 127.0.0.1:8086 max_fails=0;
        server 127.0.0.1:8087 max_fails=0;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status          always;
        add_header   X-Tries   $upstream_sticky_status always;
        add_header   X-Tried   $upstream_addr          always;

        location / {
            proxy_pass http://u;
        }

        location /retry/ {
            proxy_pass http://u/;
            proxy_next_upstream error http_500;
        }

        location /strict/ {
            proxy_pass http://strict/;
            proxy_next_upstream error http_500;
        }

        location /slow/ {
            proxy_pass http://slow/;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }

        location /one/ {
            proxy_pass http://one/;
        }

        location /cached/ {
            proxy_pass http://u/;
            proxy_cache cache;
            proxy_cache_key $http_x_key;
            proxy_cache_valid 200 1h;
            add_header X-Status $sticky_status always;
            add_header X-Cache $upstream_cache_status always;
        }

        location /intercepted/ {
            proxy_pass http://u/;
            proxy_intercept_errors on;
            error_page 302 404 /page;
        }

        location = /page {
            return 200 page;
        }

        location /accel/ {
            proxy_pass http://u/;
            proxy_set_header X-Accel /page;
        }

        location /mirrored/ {
            mirror /mirror;
            return 200 ok;
        }

        location = /mirror {
            internal;
            proxy_pass http://u/;
        }

        location /ssi/ {
            ssi on;
            default_type text/html;
            return 200 '<!--#include virtual="/part?sid=$arg_sid" -->';
        }

        location /auth/ {
            auth_request /allowed;
            return 200 ok;
        }

        location = /allowed {
            internal;
            proxy_pass http://u/?$args;
        }
    }

    server {
        listen       127.0.0.1:8085;
        server_name  localhost;
        add_header   X-Status  $sticky_status          always;
        location / {
            proxy_pass http://local;
        }
    }
}

EOC

for my $server ([8086, 'A'], [8087, 'B']) {
    $t->run_daemon(\&scripted, port($server->[0]), $server->[1], $t->testdir());
    $t->waitforsocket('127.0.0.1:' . port($server->[0]));
}
$t->run();

# The first request begins the session.

for my $n (1 .. 3) {
    my $reply = get("/?sid=new$n");
    is(status($reply), 'MISS', "first request $n: nobody knows the id");
    ok(holds($reply, "/?sid=new$n"), "first request $n: its server has the session");
    is(status(get("/?sid=new$n")), 'HIT', "first request $n: it is known");
}
is(status(get('/')), 'NONE', 'a request without an id');

# In every place; if any id is known, nothing is entered.

my $reply = get('/', 'X-Session' => 'header');
ok(holds($reply, '/', 'X-Session' => 'header'), 'a header');
$reply = get('/', Cookie => 'sid=cookie');
ok(holds($reply, '/', Cookie => 'sid=cookie'), 'a cookie');
ok(holds($reply, '/?sid=cookie'), 'it is one session');
$reply = get('/?sid=unknown', Cookie => 'sid=cookie');
is(status($reply), 'HIT', 'one of two ids is known');
is(status(get('/?sid=unknown')), 'MISS', 'the other was not entered');
$reply = get('/?sid=first', Cookie => 'sid=second');
ok(holds($reply, '/?sid=first'), 'neither is known: the first is entered');
is(status(get('/?sid=second')), 'MISS', 'the second is not');

# Only an answer below 400 keeps it.

for my $code (302, 204) {
    $reply = get("/$code?sid=c$code", 'X-Location' => '/');
    is(code($reply), $code, "answer $code");
    is(status(get("/?sid=c$code")), 'HIT', "$code keeps it");
}
for my $code (404, 500, 503) {
    $reply = get("/$code?sid=c$code");
    is(code($reply) . ' ' . status($reply), "$code MISS", "answer $code");
    is(status(get("/$code?sid=c$code")), 'MISS', "$code keeps it not");
}
get('/404?sid=shown', 'X-Page' => link_to('shown'));
is(status(get('/404?sid=shown')), 'MISS', 'nor does a page that has the id and is none');

$reply = get('/?sid=kept');
get('/404?sid=kept');
ok(holds($reply, '/?sid=kept'), 'what was kept stays');

# On a retry the session goes along.

$t->write_file("failed_$_", '') for qw/ A B /;
for my $n (1 .. 3) {
    $reply = get("/retry/?sid=retry$n");
    is(served_by($reply), 'C', "retry $n: the server that is left");
}
unlink $t->testdir() . "/failed_$_" for qw/ A B /;
is(where("/?sid=retry$_"), 'CCCCCC', "retry $_: it has the session") for 1 .. 3;

# No answer at all, or none that is left.

$t->write_file("closed_$_", '') for qw/ A B C /;
is(code(get('/?sid=closed')), 502, 'no server answers');
unlink $t->testdir() . "/closed_$_" for qw/ A B C /;
is(status(get('/404?sid=closed')), 'MISS', 'then there is no session');
$t->write_file('failed_A', '');
is(code(get('/one/?sid=one')), 500, 'the only server fails');
unlink $t->testdir() . '/failed_A';
is(status(get('/one/?sid=one')), 'MISS', 'then there is no session, either');

# no_fallback counts from the first answer on that keeps the session.

$t->write_file('failed_A', '');
for my $n (1, 2) {
    is(served_by(get("/strict/?sid=strict$n")), 'B', "no_fallback: a retry of first request $n");
}
$t->write_file('failed_B', '');
unlink $t->testdir() . '/failed_A';
my $codes = join ' ', map { code(get("/strict/?sid=strict$_")) } 1, 2;
is($codes, '502 502', 'no_fallback: refused then');
unlink $t->testdir() . '/failed_B';
is(where("/strict/?sid=strict1"), 'BBBBBB', 'no_fallback: the session is where it was');

# Another server hands the id out: until a second request has brought it.

my %other = (A => 'B', B => 'C', C => 'A');
# By its own server it is one like any other from then on, so another id is needed then.
my ($id, $taken);
for (1 .. 20) {
    $id = "taken$_";
    $reply = get("/?sid=$id");
    $taken = served_by(get('/', 'X-Page' => link_to($id)));
    last if $taken ne served_by($reply);
}
is(where("/?sid=$id"), $taken x 6, 'handed out by another server after one request');
$reply = get('/?sid=safe');
get('/?sid=safe');
get('/', 'X-Page' => link_to('safe')) for 1 .. 3;
ok(holds($reply, '/?sid=safe'), 'handed out by others after the second request');

# Responses that the client does not get.

is(code(get('/intercepted/302?sid=icept', 'X-Location' => '/')), 302, 'an error_page of 302');
is(status(get('/?sid=icept')), 'HIT', 'its answer keeps the session');
get('/intercepted/404?sid=icept404');
is(status(get('/404?sid=icept404')), 'MISS', 'that of 404 does not');
get('/accel/accel?sid=accel');
is(status(get('/?sid=accel')), 'HIT', 'X-Accel-Redirect');

# Nothing else enters one.

get('/cached/?sid=cached', 'X-Key' => 'a');
is(status(get('/?sid=cached')), 'HIT', 'a response that goes into the cache');
$reply = get('/cached/?sid=hit', 'X-Key' => 'a');
is(header('X-Cache', $reply), 'HIT', 'a response from the cache');
is(status(get('/404?sid=hit')), 'MISS', 'it enters nothing');
get('/mirrored/?sid=mirror');
select undef, undef, undef, 0.1;
is(status(get('/404?sid=mirror')), 'MISS', 'a mirror');
get('/ssi/?sid=ssi');
is(status(get('/404?sid=ssi')), 'MISS', 'a subrequest of SSI');
is(code(get('/auth/?sid=auth')), 200, 'auth_request');
is(status(get('/404?sid=auth')), 'MISS', 'its subrequest');

# While the first request is on its way.

my $end = "\x0d\x0a";
my $first;
($first, $id) = entered('race', '404 Not Found', \'?go', $end);
$reply = get("/slow/?sid=$id");
is(status($reply), 'HIT', 'a second request follows the first');
$t->write_file('go', '');
is(code(read_until($first, qr/$end$end/)), 404, 'the first one is answered with 404');
ok(holds($reply, "/slow/?sid=$id"), 'the answer to the second has kept the session');
unlink $t->testdir() . '/go';

$first = slow('fails', '404 Not Found', \'?go', $end);
$t->write_file('go', '');
read_until($first, qr/$end$end/);
is(status(get('/404?sid=fails')), 'MISS', 'without a second one it ends');

($first, $id) = entered('leaves', '200 OK', \'*');
close $first;
ok(eventually(sub {
    status(get("/slow/?sid=$id", 'X-Answer' => '404 Not Found')) eq 'MISS';
}), 'the client goes away before an answer: it ends');

$first = slow('socket', '101 Switching Protocols', "Upgrade: websocket$end$end", \'*');
my $upgraded = read_until($first, qr/$end$end/);
is(code($upgraded), 101, 'a WebSocket');
is(visit('/slow/?sid=socket'), served_by($upgraded) . ' HIT', 'it keeps the session');
close $first;
is(visit('/slow/?sid=socket'), served_by($upgraded) . ' HIT', 'also when it is closed');

# zone=off: each worker for itself, here over one connection.

my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1:' . port(8085)) or die;
my @served;
for (1 .. 4) {
    print {$socket} "GET /?sid=local HTTP/1.1\x0d\x0aHost: localhost\x0d\x0a\x0d\x0a";
    my $text = read_until($socket, qr/\x0d\x0a\x0d\x0a/);
    push @served, served_by($text) . ' ' . status($text);
}
my ($home) = split ' ', $served[0];
is_deeply(\@served, ["$home MISS", ("$home HIT") x 3], 'zone=off');

# What slow() does, with an id of its own, when it has entered the session. Where nginx has got the one that
# asks first, that has entered it, so there is another try.
sub entered {
    my ($id, @answer) = @_;
    for my $try (1 .. 50) {
        my $request = slow("$id$try", @answer);
        select undef, undef, undef, $try / 50;
        return ($request, "$id$try")
            if status(get("/slow/?sid=$id$try", 'X-Answer' => '404 Not Found')) eq 'HIT';
        close $request;
    }
    die "no request is the first one\n";
}

# Starts a request with that id whose server answers so, when it has got it.
sub slow {
    my ($id, $answer, @script) = @_;
    return get("/slow/?sid=$id", 'X-Answer' => $answer, 'X-Script' => script(@script),
        Connection => 'upgrade', Upgrade => 'websocket', { start => 1 });
}
