#!/usr/bin/perl

# Tests for session ids that are a segment of the path (from=segment:PREFIX), as WebDriver,
# notebooks, uploads and REST interfaces have them; without these each of their requests goes to any
# server.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite ssi/)->plan(36);

my $servers = join ' ', map { "server 127.0.0.1:$_;" } 8081 .. 8083;
$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    upstream u {
        sticky mode=query from=segment:/s/,segment:/v1/statement/*/,segment:/302/;
        $servers
    }

    upstream json {
        sticky mode=query from=segment:/s/ learn=json:value.id;
        $servers
    }

    upstream both {
        sticky mode=query name=sid from=cookie,segment:/both/s/,query;
        $servers
    }

    upstream off {
        sticky mode=query from=segment:/off/ id_delimiter=. learn=location zone=off;
        $servers
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  \$sticky_status  always;

        location / {
            proxy_pass http://u;
        }

        location /type/json {
            proxy_pass http://json;
        }

        location /s/json {
            rewrite ^ /plain break;
            proxy_pass http://json;
        }

        location /both/ {
            proxy_pass http://both/;
        }

        location /off/ {
            proxy_pass http://off/;
        }

        location /v1/ {
            rewrite ^ /elsewhere break;
            proxy_pass http://u;
        }

        location /ssi/ {
            ssi on;
            proxy_pass http://u/;
        }
    }
}

EOC

$t->run();

# In a request.

my $reply = get('/', 'X-Page' => '<a href="/s/id%201">');
ok(holds($reply, '/s/id%201'), 'behind the prefix');
is(status(get('/s/id%201')), 'HIT', 'status of its session');
ok(holds($reply, '/s/id%201/url?a=b'), 'among others');
ok(holds($reply, '/s/%69d%201'), 'with escapes');
ok(holds($reply, '/%73/id%201'), 'with escapes in the prefix');
ok(holds($reply, 'http://localhost/s/id%201'), 'in an absolute URL');

for (
    ['/x/s/id%201', 'not from the start of the path'],
    ['/S/id%201', 'case'],
    ['//s/id%201', 'an empty segment'],
    ['/x/../s/id%201', 'dots are not resolved'],
    ['/s/', 'no segment'],
    ['/s?/id%201', 'a query'],
    ['/?/s/id%201', 'the prefix in a query'],
    ['/?sid=id%201', 'no default name'],
) {
    my ($uri, $what) = @$_;
    is(status(get($uri)), 'NONE', $what);
}
is(status(get('/s/id%201x')), 'MISS', 'another id');
is(status(get('/s/id%201;x')), 'MISS', 'the whole segment is the id');

# What the client has asked for counts, whatever nginx makes of it; * is any one segment.

$reply = get('/', 'X-Page' => '<a href="http://localhost/v1/statement/queued/q1/t/1">');
ok(holds($reply, '/v1/statement/executing/q1/t/2'), 'any segment, rewritten by nginx');
is(status(get('/v1/statement/q1')), 'NONE', 'not without it');
my $page = get('/ssi/', 'X-Page' => '<a href="/s/ssi">');
ok(holds($page, '/s/ssi'), 'another location of the upstream');

# Where responses have it.

for (
    ['X-Location' => '/s/location', '/302/x', 'Location'],
    ['X-Location' => 'http://localhost/s/absolute', '/302/x', 'an absolute Location'],
    ['X-Location' => '../s/relative', '/302/x', 'a relative one'],
    ['X-Location' => 'own', '/302/x', 'one beside the request', '/302/own'],
    ['X-Link' => '</s/link?a>; rel=next', '/', 'Link'],
    ['X-Refresh' => '1; url=/s/refresh', '/', 'Refresh'],
    ['X-Content-Location' => '/s/content', '/', 'Content-Location'],
) {
    my ($header, $link, $uri, $what, $request) = @$_;
    my ($id) = $link =~ m!/s/(\w+)!;
    my $reply = get($uri, $header => $link);
    ok(holds($reply, $request // "/s/$id"), "learned from $what");
}

$reply = get('/', 'X-Page' => '<form action="s/form"><script>f = "\/s\/script"</script>');
ok(holds($reply, '/s/form'), 'from a form');
ok(holds($reply, '/s/script'), 'from a script');
get('/', 'X-Page' => '<a href="http://elsewhere.example/s/host"><a href="/s/../host"><a href="?/s/host">');
is(status(get('/s/host')), 'MISS', 'not from a link to another host, nor where the prefix is no path');

$reply = get('/type/json', 'X-Page' => '{"value":{"id":"m"},"next":"http:\/\/localhost\/s\/json\/x"}');
ok(holds($reply, '/s/json/x'), 'from a URL in JSON');
$reply = get('/type/json', 'X-Page' => '{"value":{"id":"json2"},"id":"none"}');
ok(holds($reply, '/s/json2/'), 'from a member of JSON');

# With other places.

$reply = get('/both/', 'X-Page' => '<a href="/both/s/a?sid=b">', 'X-Set-Cookie' => 'sid=c');
ok(holds($reply, '/both/s/a'), 'the first place of a link');
is(status(get('/both/?sid=b')), 'MISS', 'not the next');
ok(holds($reply, '/both/s/x', Cookie => 'sid=c'), 'and the cookie');
$reply = get('/both/', 'X-Page' => '<a href="/both/?sid=q">');
ok(holds($reply, '/both/s/none?sid=q'), 'the live one of two');

# Without a zone, and with the name of a node.

$reply = get('/off/302', 'X-Location' => '/off/id.node1');
ok(holds($reply, '/off/id.node2'), 'with zone=off, cut at the delimiter');
