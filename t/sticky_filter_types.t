#!/usr/bin/perl

# Tests for which bodies are read: media types, statuses, methods, and learn=;
# without them, images and downloads are searched, or pages are not.

use feature 'state';
use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(50);

$t->write_file_expand('backends.conf', backends());

my @learn = ('html', 'location', 'forms', 'off', 'html,location', 'forms,location');
my $upstreams = join '', map { my $name = tr/,/_/r; <<"EOC" } @learn;
    upstream learn_$name {
        sticky mode=query learn=$_;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }
EOC
my $locations = join '', map { my $name = tr/,/_/r; <<"EOC" } @learn;
        location /learn=$name/ {
            proxy_pass http://learn_$name/;
        }
EOC

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    upstream u {
        sticky mode=query;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream daemons {
        sticky mode=query;
        server 127.0.0.1:8084;
        server 127.0.0.1:8085;
    }

    upstream typed {
        sticky mode=query learn=html,text,json
            types=text:application/vnd.example,html:Application/X-Page,json:application/x-thing;
        server 127.0.0.1:8084;
        server 127.0.0.1:8085;
    }

    upstream script {
        sticky mode=query name=client_id from=query learn=script;
        server 127.0.0.1:8084;
        server 127.0.0.1:8085;
    }

    upstream text {
        sticky mode=query learn=html,text;
        server 127.0.0.1:8084;
        server 127.0.0.1:8085;
    }

$upstreams

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  \$sticky_status  always;

        location / {
            proxy_pass http://u;
        }

        location /daemons/ {
            proxy_pass http://daemons/;
            proxy_set_header Range \$http_range;
        }

        location ~ ^/(typed|text|script)/ {
            proxy_pass http://\$1;
        }

$locations
    }
}

EOC

$t->run_daemon(\&scripted, port(8084), 'A', $t->testdir());
$t->run_daemon(\&scripted, port(8085), 'B', $t->testdir());
$t->waitforsocket('127.0.0.1:' . port($_)) for 8084, 8085;
$t->run();

# Media types

for (
    ['/',            'HIT',  'text/html'],
    ['/type/utf-8',  'HIT',  'text/html with a charset'],
    ['/type/upper',  'HIT',  'TEXT/HTML'],
    ['/type/xhtml',  'HIT',  'application/xhtml+xml'],
    ['/type/plain',  'MISS', 'text/plain'],
    ['/type/json',   'MISS', 'application/json'],
    ['/type/xml',    'MISS', 'text/xml'],
    ['/type/htmlx',  'MISS', 'text/htmlx'],
) {
    my ($uri, $status, $what) = @$_;
    my $id = $what =~ s/\W/_/gr;
    my $reply = get($uri, 'X-Page' => link_to($id), 'X-Link' => "</?sid=link_$id>");
    like($reply, qr/sid=$id/, "$what passed on");
    is(status(get("/?sid=$id")), $status, "$what read, or not");
}

# Types of HLS and WAP, and types that the directive adds.

my $playlist = "#EXTM3U\n#EXTINF:4,\nsegment1.ts?sid=%s\n";
for (
    ['text',  'application/vnd.apple.mpegurl',             $playlist,       'HIT'],
    ['text',  'audio/mpegurl',                             $playlist,       'HIT'],
    ['text',  'application/x-mpegURL',                     $playlist,       'HIT'],
    ['text',  'application/vnd.wap.xhtml+xml',             link_to('%s'),   'HIT'],
    ['text',  'application/vnd.example',                   $playlist,       'MISS'],
    ['typed', 'application/vnd.EXAMPLE; charset=utf-8',    $playlist,       'HIT'],
    ['typed', 'application/x-page',                        '<input name=sid value="%s">', 'HIT'],
    ['typed', 'application/x-thing',                       '{"sid":"%s"}',  'HIT'],
    ['typed', 'application/x-page',                        '{"sid":"%s"}',  'MISS'],
    ['typed', 'application/vnd.example2',                  $playlist,       'MISS'],
) {
    my ($upstream, $type, $body, $status) = @$_;
    state $count = 0;
    my $id = 'type' . ++$count;
    get("/$upstream/", 'X-Answer' => '200 OK',
        'X-Script' => script("Content-Type: $type\r\n\r\n", sprintf $body, $id));
    is(status(get("/$upstream/?sid=$id")), $status, "$upstream: $type");
}

# Older payloads of Engine.IO: types that much else has, so that only short bodies are read.

my $binary = "\0\x09\x07\xff0{\"sid\":\"%s\",\"upgrades\":[\"websocket\"],\"pingInterval\":25000}";
my $jsonp = '___eio[0]("97:0{\\"sid\\":\\"%s\\",\\"upgrades\\":[]}");';
for (
    ['application/octet-stream',        $binary,                'HIT',  'binary'],
    ['text/javascript; charset=UTF-8',  $jsonp,                 'HIT',  'JSONP'],
    ['application/javascript',          $jsonp,                 'HIT',  'JSONP'],
    ['application/octet-stream',        '{"sid":"%s"}',         'MISS', 'another download'],
    ['application/octet-stream',        $binary . ' ' x 9000,   'MISS', 'a long download'],
) {
    my ($type, $body, $status, $what) = @$_;
    state $count = 0;
    my $id = 'engine_' . ++$count;
    my $payload = sprintf $body, $id;
    my $length = length $payload;
    get('/typed/', 'X-Answer' => '200 OK', 'X-Script' => script(
        "Content-Type: $type\r\nContent-Length: $length\r\n\r\n", $payload));
    is(status(get("/typed/?sid=$id")), $status, "$type: $what");
}

# Object literals in the scripts of pages.

for (
    ['<script type="module">app.mount({ query: { client_id: "%s", next: 1 } });</script>', 'HIT'],
    ["<script>\nstart({\n  'client_id': '%s'\n});</script>",                           'HIT'],
    ['<p>{ client_id: "%s" }</p>',                                                         'MISS'],
) {
    my ($page, $status) = @$_;
    state $count = 0;
    my $id = 'client-' . ++$count;
    get('/script/', 'X-Answer' => '200 OK',
        'X-Script' => script("Content-Type: text/html\r\n\r\n", sprintf $page, $id));
    is(status(get("/script/?client_id=$id")), $status, $page =~ s/\n/ /gr);
}

# Statuses and methods. What has no body may well send one.

for (
    ['200 OK',                  'HIT',  'GET'],
    ['201 Created',             'HIT',  'POST'],
    ['403 Forbidden',           'HIT',  'GET'],
    ['206 Partial Content',     'MISS', 'GET'],
    ['204 No Content',          'MISS', 'GET'],
    ['304 Not Modified',        'MISS', 'GET'],
    ['200 OK',                  'MISS', 'HEAD'],
) {
    my ($code, $status, $method) = @$_;
    my $id = lc "$method" . substr $code, 0, 3;
    my $page = link_to($id);
    my $range = $code =~ /^206/ ? "Content-Range: bytes 0-9/100\r\n" : '';
    send_request($method, '/daemons/', 'Content-Length' => $method eq 'POST' ? 0 : undef,
        'X-Answer' => $code,
        'X-Script' => script("Content-Type: text/html\r\n$range\r\n", $page));
    is(status(get("/daemons/?sid=$id")), $status, "$method, $code");
}

# Headers count where there is no body.

my $redirect = sub { script("Location: /?sid=$_[0]\r\n\r\n") };
send_request('HEAD', '/daemons/', 'X-Answer' => '302 Found', 'X-Script' => $redirect->('head'));
is(status(get('/daemons/?sid=head')), 'HIT', 'HEAD, Location');

# What learn= asks for: a link, an input, a redirect.

for (
    ['html',           'HIT HIT MISS'],
    ['location',       'MISS MISS HIT'],
    ['forms',          'MISS HIT MISS'],
    ['off',            'MISS MISS MISS'],
    ['html,location',  'HIT HIT HIT'],
    ['forms,location', 'MISS HIT HIT'],
) {
    my ($learn, $expected) = @$_;
    my $uri = '/learn=' . ($learn =~ tr/,/_/r) . '/';
    get($uri, 'X-Page' => link_to('link'));
    get($uri, 'X-Page' => '<form action="/buy"><input type=hidden name="sid" value="input"></form>');
    get($uri . '302', 'X-Location' => '/?sid=redirect');
    is(join(' ', map { status(get("$uri?sid=$_")) } qw/ link input redirect /), $expected,
        "learn=$learn");
}

get('/learn=forms/', 'X-Page' => '<form action="/buy?a=1&amp;sid=action"></form>');
is(status(get('/learn=forms/?sid=action')), 'HIT', 'learn=forms, action');
get('/learn=forms/', 'X-Page' => '<!-- <input name=sid value=comment> --><p title="?sid=comment">');
is(status(get('/learn=forms/?sid=comment')), 'MISS', 'learn=forms, comment');
