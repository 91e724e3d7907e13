#!/usr/bin/perl

# Tests for session ids in response headers: Location, Content-Location, Refresh and Link; without
# them the request after a redirect (post/redirect/get) goes to any server.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(24);

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
        sticky mode=query hosts=shop.example,.cdn.example;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream body_only {
        sticky mode=query learn=html;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream off {
        sticky mode=query learn=off;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        location / {
            proxy_pass http://u;
        }

        location /rewritten/ {
            proxy_pass http://u/;
            proxy_redirect http://inside.example/ http://$host/rewritten/;
        }

        location /outward/ {
            proxy_pass http://u/;
            proxy_redirect http://localhost/ http://elsewhere.example/;
        }

        location /hidden/ {
            proxy_pass http://u/;
            proxy_hide_header Location;
        }

        location /body_only/ {
            proxy_pass http://body_only/;
        }

        location /off/ {
            proxy_pass http://off/;
        }
    }
}

EOC

$t->run();

# $reply: the answer that hands the id out

my $reply = get('/302', 'X-Location' => '/cart?sid=relative');
like($reply, qr!^Location: /cart\?sid=relative\x0d!m, 'Location is passed on as it is');
ok(holds($reply, '/cart?sid=relative'), 'Location, relative');
is(status(get('/cart?sid=relative')), 'HIT', 'status of its session');

$reply = get('/302', 'X-Location' => 'http://localhost/cart?a=1&sid=absolute#top');
ok(holds($reply, '/?sid=absolute'), 'Location, absolute with the own host');

$reply = get('/302', Host => 'WWW.Example.com:8000',
    'X-Location' => 'https://www.EXAMPLE.com/cart?sid=case');
ok(holds($reply, '/?sid=case'), 'Location, own host in another case, scheme and port');

$reply = get('/302', 'X-Location' => '//localhost/?sid=network');
ok(holds($reply, '/?sid=network'), 'Location, without scheme');

$reply = get('/302', 'X-Location' => 'http://shop.example/?sid=listed');
ok(holds($reply, '/?sid=listed'), 'Location, host of hosts=');

$reply = get('/302', 'X-Location' => 'http://a.b.cdn.example/?sid=below');
ok(holds($reply, '/?sid=below'), 'Location, host below one of hosts=');

get('/302', 'X-Location' => 'http://elsewhere.example/?sid=foreign');
is(status(get('/?sid=foreign')), 'MISS', 'Location, foreign host not learned');

get('/302', 'X-Location' => 'http://localhost@elsewhere.example/?sid=user');
is(status(get('/?sid=user')), 'MISS', 'Location, own host as user name not learned');

get('/302', 'X-Location' => '/cart#?sid=fragment');
is(status(get('/?sid=fragment')), 'MISS', 'Location, id in the fragment not learned');

$reply = get('/rewritten/302', 'X-Location' => 'http://inside.example/?sid=rewritten');
like($reply, qr!^Location: http://localhost/rewritten/\?sid=rewritten\x0d!m,
    'proxy_redirect works');
ok(holds($reply, '/?sid=rewritten'), 'Location, own host after proxy_redirect');

get('/outward/302', 'X-Location' => 'http://localhost/?sid=outward');
is(status(get('/?sid=outward')), 'MISS', 'Location, foreign host after proxy_redirect not learned');

get('/hidden/302', 'X-Location' => '/?sid=hidden');
is(status(get('/?sid=hidden')), 'MISS', 'Location that is not passed on not learned');

$reply = get('/200', 'X-Location' => '/?sid=created');
ok(holds($reply, '/?sid=created'), 'Location of a 200');

$reply = get('/', 'X-Content-Location' => '/page?sid=content');
ok(holds($reply, '/?sid=content'), 'Content-Location');

$reply = get('/', 'X-Refresh' => '5; url=/page?sid=refresh');
ok(holds($reply, '/?sid=refresh'), 'Refresh');

$reply = get('/', 'X-Link' => '</style.css>; rel=preload, </page?sid=link>; rel="next"');
ok(holds($reply, '/?sid=link'), 'Link, the second of two');

is(status(get('/302', 'X-Location' => '/?sid=fresh')), 'NEW', 'status of the response');
is(status(get('/302', 'X-Location' => '/cart')), 'NONE', 'status without an id');

$reply = post('/302', 'name=x', 'X-Location' => '/?sid=posted');
ok(holds($reply, '/?sid=posted'), 'redirect after a POST');

get('/body_only/302', 'X-Location' => '/?sid=1');
is(status(get('/body_only/?sid=1')), 'MISS', 'learn=html does not read headers');

get('/off/302', 'X-Location' => '/?sid=1');
is(status(get('/off/?sid=1')), 'MISS', 'learn=off does not read headers');
