#!/usr/bin/perl

# Tests for ids in cookies and headers of responses (learn=cookie, learn=header:NAME), and for ids
# that change: without them a client that signs in, and gets a new id, ends up at another server.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy/)->plan(47);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    upstream cookie {
        sticky mode=query from=query,cookie learn=cookie;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream brief {
        sticky mode=query from=query,cookie learn=cookie expires=6s;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream other {
        sticky mode=query learn=cookie:PHPSESSID;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream header {
        sticky mode=query from=query,header:Mcp-Session-Id learn=header:Mcp-Session-Id,header:X-Token;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream all {
        sticky mode=query from=query,form,cookie,header:X-Id
            learn=html,json,location,cookie,header:X-Id,sse,text;
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

        location /brief/ {
            proxy_pass http://brief/;
        }

        location /hidden/ {
            proxy_pass http://header/;
            proxy_hide_header Mcp-Session-Id;
        }

        location /other/ {
            proxy_pass http://other/;
        }

        location /header/ {
            proxy_pass http://header/;
        }

        location /all/ {
            proxy_pass http://all/;
        }
    }
}

EOC

my %ports = (A => port(8081), B => port(8082), C => port(8083));
$t->run_daemon(\&scripted, $ports{$_}, $_, $t->testdir()) for sort keys %ports;
$t->waitforsocket("127.0.0.1:$_") for values %ports;
$t->run();

# Cookies that are set, and those that are taken away.

my $count = 0;
for (
    ['sid=%s',                                            'HIT',  'a cookie'],
    ['sid=%s; Path=/; HttpOnly; SameSite=Lax',            'HIT',  'with attributes'],
    ['sid=%s; Max-Age=3600',                              'HIT',  'for an hour'],
    ['sid=%s; Expires=Fri, 31 Dec 2038 23:59:59 GMT',     'HIT',  'for years'],
    [' sid = %s ',                                        'HIT',  'with spaces'],
    ['sid=%s; Max-Age=0',                                 'MISS', 'deleted'],
    ['sid=%s; Max-Age=-1',                                'MISS', 'deleted, too'],
    ['sid=%s; Expires=Thu, 01 Jan 1970 00:00:00 GMT',     'MISS', 'deleted by date'],
    ['sid=%s; expires=Thu, 01-Jan-1970 00:00:01 GMT; Max-Age=9', 'HIT', 'Max-Age counts more'],
    ['xsid=%s',                                           'MISS', 'another cookie'],
    ['SID=%s',                                            'MISS', 'in upper case'],
    ['a=b; sid=%s',                                       'MISS', 'in an attribute'],
) {
    my ($cookie, $expected, $what) = @$_;
    is(learned('cookie', 'Set-Cookie: ' . sprintf($cookie, 'c' . ++$count), "c$count"), $expected,
        $what);
}
is(learned('cookie', 'Set-Cookie: sid=', ''), 'NONE', 'without a value');
is(learned('cookie', 'Set-Cookie: sid=a%2Fb', 'a%2Fb'), 'HIT', 'escaped as in the URL');
is(learned('cookie', "Set-Cookie: a=b\r\nSet-Cookie: sid=several", 'several'), 'HIT',
    'one of several');
is(learned('other', 'Set-Cookie: PHPSESSID=php', 'php'), 'HIT', 'a cookie of another name');
is(learned('other', 'Set-Cookie: sid=sid', 'sid'), 'MISS', 'and then not of the first one');

# Headers.

is(learned('header', 'Mcp-Session-Id: m1', 'm1'), 'HIT', 'a header');
is(learned('header', 'mcp-session-id:m2', 'm2'), 'HIT', 'in lower case');
is(learned('header', 'X-Token: m3', 'm3'), 'HIT', 'another header');
is(learned('header', 'X-Mcp-Session-Id: m4', 'm4'), 'MISS', 'a header that was not asked for');
is(learned('header', 'Mcp-Session-Id: ' . 'm' x 3500, 'm' x 3500), 'HIT', 'as long as an id may be');
is(learned('header', 'Mcp-Session-Id: ' . 'n' x 4097, 'n' x 4097), 'NONE', 'longer');
is(learned('header', "Mcp-Session-Id: m5\r\nX-Token: m6", 'm5'), 'HIT', 'one of two ids');
is(status(get('/header/?sid=m6')), 'HIT', 'and the other one');
is(learned('hidden', 'Mcp-Session-Id: m7', 'm7'), 'MISS', 'a header that the client does not get');

my $reply = start('header', 'Mcp-Session-Id: m8');
my $next = get('/header/', 'Mcp-Session-Id' => 'm8');
is(status($next) . served_by($next), 'HIT' . served_by($reply), 'brought back in the header');

# Responses that count, and those that do not.

for (
    ['HEAD', '200 OK',           'HIT'],
    ['GET',  '204 No Content',   'HIT'],
    ['GET',  '304 Not Modified', 'HIT'],
    ['POST', '401 Unauthorized', 'HIT'],
    ['GET',  '503 Service Unavailable', 'MISS'],
) {
    my ($method, $status, $expected) = @$_;
    my $id = lc "$method$status" =~ s/\W.*//r;
    send_request($method, '/header/', 'X-Answer' => $status,
        'X-Script' => script("Mcp-Session-Id: $id\r\n\r\n"));
    is(status(get("/header/?sid=$id")), $expected, "$method, $status");
}

# Rotation: the response to a request with one id hands out another one.

my $json = "Content-Type: application/json\r\n\r\n";
for (
    ['cookie',   "Set-Cookie: sid=%s\r\n\r\n"],
    ['header',   "X-Id: %s\r\n\r\n"],
    ['json',     "$json\{\"sid\":\"%s\"}"],
    ['html',     "Content-Type: text/html\r\n\r\n<input name=sid value=%s>"],
    ['sse',      "Content-Type: text/event-stream\r\n\r\ndata: /?sid=%s\n\n"],
    ['text',     "Content-Type: text/plain\r\n\r\n/?sid=%s\n"],
    ['location', "Location: /?sid=%s\r\n\r\n"],
) {
    my ($what, $response) = @$_;
    my @ids = map { "$what$_" } 'A' .. 'D';
    my $first = get('/all/', 'X-Script' => script(sprintf $response, $ids[0]));
    for my $n (1 .. 3) {
        get("/all/?sid=$ids[$n - 1]", 'X-Script' => script(sprintf $response, $ids[$n]));
        # Somebody else moves round robin on.
        get('/all/');
    }
    my @all = map { get("/all/?sid=$_") } @ids, reverse @ids;
    my $from = served_by($first);
    is(join(' ', map { status($_) . served_by($_) } @all), join(' ', ("HIT$from") x 8),
        "$what: all ids lead to one server");
}

# The old id may come along with the new one, and both in one response.

$reply = get('/all/', 'X-Script' => script("Set-Cookie: sid=old\r\n\r\n"));
get('/all/?sid=old', 'X-Script' =>
    script("Set-Cookie: sid=new\r\nX-Id: newer\r\n$json", '{"sid":"old","b":{"sid":"newest"}}'));
for (qw/ old new newer newest /) {
    $next = get("/all/?sid=$_");
    is(status($next) . served_by($next), 'HIT' . served_by($reply), "$_ id, of several");
}
$next = get('/all/', Cookie => 'sid=old');
is(status($next) . served_by($next), 'HIT' . served_by($reply), 'old id in a cookie');

# The old one lives on until it expires, the new one as long as it is used.

my @seen = in_time(2.5, sub {
    my ($round, $is_in_time) = @_;
    my ($before, $after) = ("before$round", "after$round");
    start('brief', "Set-Cookie: sid=$before");
    get("/brief/?sid=$before", 'X-Script' => script("Set-Cookie: sid=$after\r\n\r\n"));
    my @seen = status(get("/brief/?sid=$before"));
    for (1 .. 8) {
        return unless $is_in_time->();
        sleep 1;
        $next = status(get("/brief/?sid=$after"));
    }
    return (@seen, $next, status(get("/brief/?sid=$before")));
});
is($seen[0], 'HIT', 'the old id right after');
is($seen[1], 'HIT', 'the new id is kept by use');
is($seen[2], 'EXPIRED', 'the old one is not');

# What becomes of an id that a response has handed out in its header.
sub learned {
    my ($where, $header, $id) = @_;
    my $reply = start($where, $header);
    my $next = get("/$where/?sid=$id");
    return status($next) eq 'HIT' && served_by($next) ne served_by($reply) ? 'elsewhere' : status($next);
}

sub start {
    my ($where, $header) = @_;
    return get("/$where/", 'X-Script' => script("$header\r\n\r\n"));
}
