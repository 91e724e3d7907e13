#!/usr/bin/perl

# Tests for session ids in the links and hidden inputs of pages: what is found, what is not, and
# which requests bring it back; without them only redirects make sessions.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(44);

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
        sticky mode=query expires=1h;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream names {
        sticky mode=query name=sid name=PHPSESSID name=s.id hosts=shop.example,.cdn.example;
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

        location /names/ {
            proxy_pass http://names/;
        }
    }
}

EOC

$t->run();

# Without an id, there is no session: the proof that holds() can fail.

my $reply = get('/');
is(status($reply), 'NONE', 'no id, no session');
ok(!holds($reply, '/'), 'requests without an id are balanced');
like(where('/'), qr/^(ABC|BCA|CAB){2}$/, 'by round robin');

# What is learned. Each id is that of its test.

for (
    ['<a href="/next?sid=plain">',                      'plain',   'link'],
    ['<a href="next?sid=near">',                        'near',    'relative link'],
    ['<a href="?sid=alone">',                           'alone',   'link that is a query only'],
    ['<a href="/next?a=1&sid=bare">',                   'bare',    'link, bare ampersand'],
    ['<a href="/next?a=1&amp;sid=entity">',             'entity',  'link, &amp;'],
    ['<a href="/next?a=1&#38;sid=number">',             'number',  'link, &#38;'],
    ['<a href="/next?a=1;sid=semicolon">',              'semicolon', 'link, semicolon'],
    ["<a href='/next?sid=single'>",                     'single',  'link in single quotes'],
    ['<a href=/next?sid=unquoted>',                     'unquoted', 'link without quotes'],
    ['<A HREF="/next?sid=upper">',                      'upper',   'link in upper case'],
    ['<a href="/next?sid=tail#top">',                   'tail',    'link with a fragment'],
    ['<a href="http://localhost/?sid=own">',            'own',     'link to the own host'],
    ['<a href="http://localhost:81/?sid=port">',        'port',    'link to another port of it'],
    ['<form method="post" action="/buy?sid=action">',   'action',  'form action'],
    ['<frame src="/menu?sid=frame">',                   'frame',   'frame'],
    ['<meta http-equiv="refresh" content="0; url=/?sid=meta">', 'meta', 'meta refresh'],
    ['<input type="hidden" name="sid" value="hidden">', 'hidden',  'hidden input'],
    ['<input value=\'turned\' type=hidden name=sid />', 'turned',  'hidden input, other order'],
) {
    my ($page, $id, $what) = @$_;
    my $reply = get('/', 'X-Page' => "<html>$page</html>");
    ok(holds($reply, "/?sid=$id"), $what);
}

$reply = get('/', 'X-Page' => link_to('a%2Fb%20c'));
ok(holds($reply, '/?sid=a%2fb+c'), 'id is compared decoded');
is(status(get('/?sid=a%252Fb%2520c')), 'MISS', 'and decoded once');

$reply = get('/', 'X-Page' => '<a href="?sid=one1"><a href="?sid=two2"><a href="?sid=one1">');
ok(holds($reply, '/?sid=one1') && holds($reply, '/?sid=two2'), 'two ids in a page');

# What is not.

for (
    ['<a href="http://elsewhere.example/?sid=foreign">', 'foreign',  'foreign host'],
    ['<a href="//elsewhere.example/?sid=network">',      'network',  'foreign host, no scheme'],
    ['<a href="http:\\\\elsewhere.example/?sid=slash">', 'slash',    'foreign host, backslashes'],
    ['<base href="http://elsewhere.example/"><a href="?sid=base">', 'base', 'foreign base'],
    ['<a href="mailto:a@localhost?sid=mail">',           'mail',     'another scheme'],
    ['<a href="/next?xsid=longer">',                     'longer',   'longer name'],
    ['<a href="/next?SID=upper2">',                      'upper2',   'name in another case'],
    ['<a href="/next#sid=fragment">',                    'fragment', 'fragment'],
    ['<input type="hidden" name="xsid" value="input2">', 'input2',   'input of another name'],
) {
    my ($page, $id, $what) = @$_;
    get('/', 'X-Page' => "<html>$page</html>");
    is(status(get("/?sid=$id")), 'MISS', "$what not learned");
}

# Which requests have a session.

$reply = get('/', 'X-Page' => link_to('request'));
ok(holds($reply, '/a/b/c?x=1&sid=request&y=2'), 'id among other arguments');
is(status(get('/?SID=request')), 'NONE', 'request, name in another case');
is(status(get('/?xsid=request')), 'NONE', 'request, longer name');
is(status(get('/?sid=request&sid=request')), 'HIT', 'request, same id twice');
ok(holds($reply, '/?sid=request&sid=other'), 'request, an id appended to the live one');
ok(holds($reply, '/?sid=other&sid=request'), 'request, the live one appended');
is(status(get('/?sid=')), 'NONE', 'request, empty id');

# Several names, hosts=.

$reply = get('/names/', 'X-Page' => '<a href="?PHPSESSID=p"><a href="http://shop.example?s.id=q">');
ok(holds($reply, '/names/?PHPSESSID=p'), 'second name');
ok(holds($reply, '/names/?s.id=q'), 'third name, host of hosts=');
ok(holds($reply, '/names/?sid=unknown&PHPSESSID=p'), 'the first name with a live session decides');
get('/names/', 'X-Page' => '<a href="http://cdn.example.org/?sid=org">');
is(status(get('/names/?sid=org')), 'MISS', 'other host than those of hosts=');
