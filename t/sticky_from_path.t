#!/usr/bin/perl

# Tests for session ids in the path of a URL (from=path): as servlets write them,
# /cart;jsessionid=1, and as ASP.NET does, /(S(1))/cart.aspx; without these such a session is lost
# with the first link.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite ssi auth_request/)->plan(45);

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    upstream u {
        sticky mode=query name=sid from=path;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream aspx {
        sticky mode=query name=(S) from=path;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    # Tomcat: a cookie, and the path for clients that have shown none.
    upstream servlet {
        sticky mode=query name=jsessionid name=JSESSIONID from=path,cookie
            learn=html,location,cookie;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    # A link is searched in the places of from=, in their order.
    upstream path_query {
        sticky mode=query from=path,query;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream query_path {
        sticky mode=query from=query,path;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        location / {
            proxy_pass http://u;
        }

        location /aspx/ {
            proxy_pass http://aspx/;
        }

        location /servlet/ {
            proxy_pass http://servlet/;
        }

        location /path_query/ {
            proxy_pass http://path_query/;
        }

        location /query_path/ {
            proxy_pass http://query_path/;
        }

        location /rewritten/ {
            rewrite ^ /plain break;
            proxy_pass http://u;
        }

        location /redirected/ {
            rewrite ^ /elsewhere last;
        }

        location /guarded/ {
            auth_request /auth;
            auth_request_set $guard $upstream_http_x_server;
            add_header X-Guard $guard;
            add_header X-Status $sticky_status;
            proxy_pass http://u/;
        }

        location = /auth {
            internal;
            proxy_pass http://u/;
        }

        location /ssi/ {
            ssi on;
            proxy_pass http://u/;
        }
    }
}

EOC

$t->run();

# Parameters of segments.

my $reply = get('/', 'X-Page' => '<a href="/cart;sid=id%201?a=b">');
ok(holds($reply, '/cart;sid=id%201'), 'parameter of the last segment');
is(status(get('/cart;sid=id%201')), 'HIT', 'status of its session');
ok(holds($reply, '/shop;sid=id%201/cart'), 'of another segment');
ok(holds($reply, '/shop;v=2;sid=id%201;w=3/cart;a=b'), 'among others');
ok(holds($reply, '/;sid=id%201'), 'of an empty segment');
ok(holds($reply, '/a/../b/./;sid=id%201'), 'in a path that nginx makes another of');
ok(holds($reply, '//a//b;sid=id%201'), 'with slashes that nginx merges');
ok(holds($reply, '/cart;s%69d=%69d%201'), 'with escapes');
ok(holds($reply, '/cart;SID=id%201'), 'in another case');
ok(holds($reply, '/cart;sid=id%201;sid=%69d%201'), 'twice the same');
ok(holds($reply, '/cart;sid=other;sid=id%201'), 'the live one of two');
ok(holds($reply, '/shop;sid=other/cart;sid=id%201'), 'of two segments');
ok(holds($reply, '/cart;sid=id%201?sid=other'), 'before a query');
ok(holds($reply, 'http://localhost/cart;sid=id%201'), 'in an absolute URL');

for (
    ['/cart%3Bsid=id%201', 'an escaped semicolon'],
    ['/cart?;sid=id%201', 'the query'],
    ['/cart?sid=id%201', 'a parameter of the query'],
    ['/sid=id%201', 'no semicolon'],
    ['/cart;xsid=id%201', 'another name'],
    ['/cart;sid=', 'an empty value'],
    ['/cart#;sid=id%201', 'a fragment'],
) {
    my ($uri, $what) = @$_;
    is(status(get($uri)), 'NONE', "not in $what");
}
is(status(get('/cart;sid=id%201x')), 'MISS', 'another id');

# What the client has asked for counts, whatever nginx makes of it.

ok(holds($reply, '/rewritten/cart;sid=id%201'), 'rewritten by nginx');
ok(holds($reply, '/redirected/cart;sid=id%201'), 'redirected within nginx');

my %seen = map { /^X-Guard: (\w)/m => 1 } map { get('/guarded/a;sid=id%201') } 1 .. 4;
is(join('', keys %seen), served_by($reply), 'auth_request has the session of its request');
my $page = get('/ssi/a;sid=id%201', 'X-Page' => '<!--#include virtual="/part"-->');
like($page, qr/part of @{[ served_by($reply) ]}/, 'so has SSI');

# Where responses have it.

$reply = get('/302', 'X-Location' => '/cart;sid=location');
ok(holds($reply, '/cart;sid=location'), 'learned from Location');
$reply = get('/', 'X-Link' => '</cart;sid=link?a>; rel=next');
ok(holds($reply, '/cart;sid=link'), 'from Link');
$reply = get('/', 'X-Page' => '<form action=cart;sid=form><script>go("/a;sid=script?b")</script>');
ok(holds($reply, '/cart;sid=form'), 'from a form');
ok(holds($reply, '/cart;sid=script'), 'from a script');
get('/', 'X-Page' => '<a href="?sid=query"><a href="http://elsewhere.example/;sid=host">');
is(status(get('/;sid=query')), 'MISS', 'not from a query');
is(status(get('/;sid=host')), 'MISS', 'nor from a link to another host');

# ASP.NET.

$reply = get('/aspx/302', 'X-Location' => '/aspx/(S(lit3py55t21z5v55vlm25s55))/page.aspx');
ok(holds($reply, '/aspx/(S(lit3py55t21z5v55vlm25s55))/page.aspx'), 'letter in parentheses');
ok(holds($reply, '/aspx/(A(x)S(lit3py55t21z5v55vlm25s55)F(y))/page.aspx'), 'with others');
ok(holds($reply, '/aspx/%28S%28lit3py55t21z5v55vlm25s55%29%29/page.aspx?a=b'), 'escaped');
$reply = get('/aspx/', 'X-Page' => '<form action="/aspx/(S(form))/page.aspx">');
ok(holds($reply, '/aspx/(S(form))/other.aspx'), 'in a form');
is(status(get('/aspx/(A(form))/')) . status(get('/aspx/S(form)/')), 'NONENONE',
    'not as another letter, nor without its parentheses');

# Tomcat: the first answer has both.

$reply = get('/servlet/', 'X-Set-Cookie' => 'JSESSIONID=tomcat; Path=/; HttpOnly',
    'X-Page' => '<a href="/servlet/cart;jsessionid=tomcat?a=b">');
ok(holds($reply, '/servlet/cart;jsessionid=tomcat'),
    'servlet: the path, for a client without cookies');
ok(holds($reply, '/servlet/cart', Cookie => 'a=b; JSESSIONID=tomcat'), 'the cookie, for one with');
is(status(get('/servlet/cart;jsessionid=tomcat', Cookie => 'JSESSIONID=other')), 'HIT',
    'the path comes first');

$reply = get('/servlet/', 'X-Set-Cookie' => 'JSESSIONID=cookie; Path=/; HttpOnly');
ok(holds($reply, '/servlet/cart', Cookie => 'JSESSIONID=cookie'),
    'an answer with the cookie alone');
ok(holds($reply, '/servlet/cart;jsessionid=cookie'), 'for the path, too');
$reply = get('/servlet/302', 'X-Location' => '/servlet/cart;jsessionid=location');
ok(holds($reply, '/servlet/cart', Cookie => 'JSESSIONID=location'), 'a redirect, for the cookie');

# Two places in one link.

get($_, 'X-Page' => '<a href="a;sid=first?sid=second">') for '/path_query/', '/query_path/';
is(join(' ', map { status(get($_)) } '/path_query/;sid=first', '/path_query/?sid=second'), 'HIT MISS',
    'path,query: what is learned is what is looked up');
is(join(' ', map { status(get($_)) } '/query_path/;sid=first', '/query_path/?sid=second'), 'MISS HIT',
    'query,path: the other way round');
