#!/usr/bin/perl

# Tests for sessions that the application ends: its own server deletes the cookie with the id, or
# forget=$variable has a value. Without it, one who has signed out goes on being sent to that
# server, and so does a client with an id that was given up; ended for less, sessions would be lost.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy map/)->plan(45);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

# zone=off knows one.
worker_processes 1;
daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    # As in nginx-conf/mcp.conf.
    map "$request_method $status" $is_ended {
        "~^DELETE 2"  1;
        default       "";
    }

    upstream cookie {
        sticky mode=query name=sid name=id2 from=query,cookie learn=cookie,html,location;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream unread {
        sticky mode=query from=query,header:X-Id learn=cookie:sid,html;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream variable {
        sticky mode=query from=header:Mcp-Session-Id learn=header:Mcp-Session-Id
            forget=$is_ended$upstream_http_x_over zone=kept:64k;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream local {
        sticky mode=query from=query,cookie learn=cookie zone=off;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        location /cookie/ {
            proxy_pass http://cookie/;
        }
        location /unread/ {
            proxy_pass http://unread/;
        }
        location /variable/ {
            proxy_pass http://variable/;
        }
        location /local/ {
            proxy_pass http://local/;
        }
        location /file {
            internal;
        }
    }

}

EOC

$t->write_file('file', 'a file');
my %ports = (A => port(8081), B => port(8082), C => port(8083));
$t->run_daemon(\&scripted, $ports{$_}, $_, $t->testdir()) for sort keys %ports;
$t->waitforsocket("127.0.0.1:$_") for values %ports;
$t->run();

my $count = 0;

# What becomes of the session of an id in a cookie: the status of the next request, after a response
# with these headers. %s is the id.
sub after {
    my ($headers, %option) = @_;
    my $id = 'c' . ++$count;
    my $where = $option{where} // 'cookie';
    get("/$where/", 'X-Script' => script("Set-Cookie: sid=$id\r\n\r\n"));
    my ($uri, @request) = map { s/%s/$id/gr } $option{uri} // "/$where/",
        @{ $option{request} // ['Cookie: sid=%s'] };
    my $script = "$headers\r\n\r\n" . ($option{body} // '');
    my $reply = get($uri, @request, 'X-Answer' => $option{answer},
        'X-Script' => script($script =~ s/%s/$id/gr));
    return 'lost before' if status($reply) ne 'HIT' && !$option{accel};
    return status(get("/$where/?sid=$id"));
}

# The cookie.

for (
    ['Set-Cookie: sid=; Max-Age=0',                          'MISS', 'deleted by age'],
    ['Set-Cookie: sid=gone; Max-Age=0; Path=/',              'MISS', 'whatever its value'],
    ['Set-Cookie: sid=; Expires=Thu, 01 Jan 1970 00:00:00 GMT', 'MISS', 'by date'],
    ['Set-Cookie: sid=',                                     'MISS', 'by an empty value'],
    ["Set-Cookie: a=b\r\nSet-Cookie: sid=; Max-Age=0",       'MISS', 'among others'],
    ['Set-Cookie: sid=%s; Max-Age=60',                       'HIT',  'set again'],
    ["Set-Cookie: sid=; Max-Age=0\r\nSet-Cookie: sid=new",   'HIT',  'replaced'],
    ["Set-Cookie: sid=new\r\nSet-Cookie: sid=; Max-Age=0",   'HIT',  'in any order'],
    ['Set-Cookie: sidx=; Max-Age=0',                         'HIT',  'another one deleted'],
    ['Set-Cookie: id2=; Max-Age=0',                          'HIT',  'one of the other name'],
    ['Set-Cookie: SID=; Max-Age=0',                          'HIT',  'in upper case'],
    ['X-Cookie: sid=; Max-Age=0',                            'HIT',  'another header'],
) {
    my ($headers, $expected, $what) = @$_;
    is(after($headers), $expected, "cookie: $what");
}
my $deletion = 'Set-Cookie: sid=; Max-Age=0';
is(after($deletion, request => ['Cookie: sid=%s; sid=%s']), 'MISS', 'twice the same cookie');
is(after($deletion, request => ['Cookie: sid=%s; sid=other']), 'HIT',
    'one of two cookies, nobody knows which');
is(after($deletion, uri => '/cookie/?sid=%s', request => []), 'HIT', 'an id in the query alone');
is(after($deletion, uri => '/cookie/?sid=%s'), 'MISS', 'in both');
is(after('Set-Cookie: id2=; Max-Age=0', request => ['Cookie: id2=%s']), 'MISS', 'the other name');
is(after("$deletion\r\nContent-Type: text/html", body => '<a href="/?sid=%s">'), 'MISS',
    'although its page still shows the id');
is(after("$deletion\r\nLocation: /?sid=%s"), 'MISS', 'and the next place');
is(after($deletion, answer => '302 Found'), 'MISS', 'with a redirect');
is(after($deletion, answer => '401 Unauthorized'), 'MISS', 'with a refusal');
is(after($deletion, answer => '503 Service Unavailable'), 'HIT', 'not with a failure');
is(after("$deletion\r\nX-Accel-Redirect: /file", accel => 1), 'MISS', 'with a file instead');
is(after($deletion, where => 'local'), 'MISS', 'with zone=off');
is(after($deletion, where => 'unread', request => ['X-Id: %s', 'Cookie: sid=%s']), 'HIT',
    'a cookie that is not read');

# A stranger's answer ends nothing: the session's server cannot answer, another one does.

my $reply = get('/cookie/', 'X-Script' => script("Set-Cookie: sid=moved\r\n\r\n"));
my ($other) = grep { $_ ne served_by($reply) } sort keys %ports;
for my $try (1 .. 6) {
    get('/cookie/', Cookie => "sid=unknown$try", 'X-Script' => script("$deletion\r\n\r\n"));
}
ok(holds($reply, '/cookie/', Cookie => 'sid=moved'), 'responses to requests of other sessions');

# An older request of the session is answered after the end.

$reply = get('/cookie/', 'X-Script' => script("Set-Cookie: sid=older\r\n\r\n"));
my $socket = get('/cookie/', Cookie => 'sid=older', 'X-Script' =>
    script(\'?ended', "Set-Cookie: sid=older\r\nContent-Type: text/html\r\n\r\n<a href='/?sid=older'>"),
    { start => 1 });
get('/cookie/', Cookie => 'sid=older', 'X-Script' => script("$deletion\r\n\r\n"));
is(status(get('/cookie/?sid=older')), 'MISS', 'ended while a request is under way');
$t->write_file('ended', '');
my $late = reply_of($socket);
is(status($late) . served_by($late), 'HIT' . served_by($reply), 'which is answered');
is(status(get('/cookie/?sid=older')), 'MISS', 'and does not begin the session again');

# It may begin again, at another server.

my %homes;
for my $n (1 .. 6) {
    get('/cookie/', 'X-Script' => script("Set-Cookie: sid=again\r\n\r\n"));
    my $home = get('/cookie/', Cookie => 'sid=again');
    $homes{ served_by($home) } = 1 if status($home) eq 'HIT';
    get('/cookie/', Cookie => 'sid=again', 'X-Script' => script("$deletion\r\n\r\n"));
}
cmp_ok(keys %homes, '>', 1, 'it may begin anew, elsewhere');

# The variable.

sub begin {
    my $id = 'm' . ++$count;
    get('/variable/', 'X-Script' => script("Mcp-Session-Id: $id\r\n\r\n"));
    return $id;
}
for (
    ['DELETE', '200 OK',                 '',           'MISS', 'a method that ends it'],
    ['DELETE', '204 No Content',         '',           'MISS', 'without content'],
    ['DELETE', '405 Method Not Allowed', '',           'HIT',  'which was refused'],
    ['GET',    '200 OK',                 '',           'HIT',  'another method'],
    ['GET',    '200 OK',                 'yes',        'MISS', 'a header'],
    ['GET',    '200 OK',                 '0',          'HIT',  'of 0'],
    ['GET',    '404 Not Found',          'true',       'MISS', 'with any status'],
    ['GET',    '500 Server Error',       'true',       'HIT',  'but no failure'],
) {
    my ($method, $answer, $over, $expected, $what) = @$_;
    my $id = begin();
    send_request($method, '/variable/', 'Mcp-Session-Id' => $id, 'X-Answer' => $answer,
        'X-Script' => script("X-Over: $over\r\n\r\n"));
    is(status(get('/variable/', 'Mcp-Session-Id' => $id)), $expected, "variable: $what");
}
my $id = begin();
send_request('DELETE', '/variable/', 'Mcp-Session-Id' => "not-$id") for 1 .. 3;
is(status(get('/variable/', 'Mcp-Session-Id' => $id)), 'HIT', 'variable: another session');
send_request('DELETE', '/variable/', 'Mcp-Session-Id' => $id,
    'X-Script' => script("Mcp-Session-Id: $id\r\n\r\n"));
is(status(get('/variable/', 'Mcp-Session-Id' => $id)), 'MISS', 'its id is shown once more');
send_request('DELETE', '/variable/', 'Mcp-Session-Id' => begin(),
    'X-Script' => script("Mcp-Session-Id: next$id\r\n\r\n"));
is(status(get('/variable/', 'Mcp-Session-Id' => "next$id")), 'HIT', 'and another one begins');

# In both tables, while one replaces the other: a request keeps an old worker from ending.

$id = begin();
my $stays = begin();
my $held = get('/variable/', 'Mcp-Session-Id' => $stays, 'X-Script' => script(\'?released', "\r\n"),
    { start => 1 });
my $config = $t->read_file('nginx.conf');
$config =~ s/zone=kept:64k/zone=kept:128k/ or die 'no zone';
my @old = workers($t);
$t->write_file('nginx.conf', $config)->reload();
ok(eventually(sub { @old < workers($t) }) && stopped_listening(@old), 'a reload with another size');
is(status(get('/variable/', 'Mcp-Session-Id' => $id)), 'HIT', 'two tables: known');
send_request('DELETE', '/variable/', 'Mcp-Session-Id' => $id);
is(status(get('/variable/', 'Mcp-Session-Id' => $id)), 'MISS', 'two tables: ended');
$t->write_file('released', '');
reply_of($held);
is(status(get('/variable/', 'Mcp-Session-Id' => $stays)), 'HIT', 'two tables: the other one stays');

$t->stop();
