#!/usr/bin/perl

# Tests for sticky mode=rewrite, the pages that it changes: links, forms and redirects name the
# server that answered, and what the header says of the page stays true; without it an application
# that has neither cookies nor ids in its links loses its sessions at the first click.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(49);

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
        sticky mode=rewrite text=raw hosts=own.example;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream pieces {
        sticky mode=rewrite text=raw;
        server 127.0.0.1:8084;
    }

    upstream strict {
        sticky mode=rewrite name=srv text=raw no_fallback;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        location / {
            proxy_pass http://u;
            proxy_redirect off;
        }

        location /gzip/ {
            gzip on;
            gzip_min_length 0;
            proxy_pass http://u/;
        }

        location /pieces/ {
            proxy_pass http://pieces/;
            proxy_buffering off;
        }

        location /buffered/ {
            proxy_pass http://pieces/;
            proxy_buffer_size 1k;
            proxy_buffers 4 1k;
            proxy_busy_buffers_size 2k;
        }

        location /strict/ {
            proxy_pass http://strict/;
        }

        location /args {
            set $args $sticky_args;
            proxy_pass http://u;
        }
    }
}

EOC

my $letters = $t->testdir();
$t->run_daemon(\&scripted, port(8084), 'S', $letters);
$t->run();
$t->waitforsocket('127.0.0.1:' . port(8084));

my %port = (A => port(8081), B => port(8082), S => port(8084));

# Links.

my $reply = page('<a href="/next?a=1">next</a>');
my $own = 'route=127.0.0.1:' . $port{ served_by($reply) };
is(http_content($reply), qq{<a href="/next?a=1&amp;$own">next</a>}, 'link');
is(status($reply), 'NEW', 'status of a page');
ok(holds($reply, "/next?a=1&$own"), 'who follows it comes back');
is(status(get("/next?$own")), 'HIT', 'status of a hit');
is(status(get('/next?route=127.0.0.1:1')), 'MISS', 'status of an unknown server');
is(status(get('/next?route=')), 'NEW', 'an empty value');
is(status(get("/next?route=x&$own")), 'HIT', 'two values, of which one is known');

my $hit = page('<a href="/third">', "/next?$own");
is(http_content($hit), qq{<a href="/third?$own">}, 'the next page names the same server');

# Forms.

$reply = page('<form method=post action="/buy"><input name=a></form>');
$own = 'route=127.0.0.1:' . $port{ served_by($reply) };
is(http_content($reply),
    qq{<form method=post action="/buy?$own"><input name=a></form>}, 'action of a form that posts');
$reply = page('<form action="/find"><input name=a></form>');
$own = 'route=127.0.0.1:' . $port{ served_by($reply) };
is(http_content($reply), '<form action="/find"><input type="hidden" name="route" value="'
    . substr($own, 6) . '" /><input name=a></form>', 'input of a form that gets');
ok(holds($reply, "/find?a=1&$own"), 'that form comes back');
my @posted = map { served_by(post('/buy', "a=1&$own")) } 1 .. 6;
is(join('', @posted), served_by($reply) x 6, 'a posted field comes back');

# Redirects.

$reply = get('/302', 'X-Location' => '/next?a=1');
$own = 'route=127.0.0.1:' . $port{ served_by($reply) };
like($reply, qr!^Location: /next\?a=1&\Q$own\E\x0d$!m, 'redirect');
$reply = get('/302', 'X-Location' => 'http://own.example/next#x');
like($reply, qr!^Location: http://own.example/next\?route=127[^#]*#x\x0d$!m,
    'redirect to an own host');
$reply = get('/302', 'X-Location' => 'http://other.example/');
like($reply, qr!^Location: http://other.example/\x0d$!m, 'redirect elsewhere');
like(get('/', 'X-Refresh' => '5; url=/x'), qr!^Refresh: 5; url=/x\?route=127!m, 'refresh');

# What the header says of the page.

my $link = '<a href="/x">';
$reply = page($link);
is(http_content($reply), sprintf('<a href="/x?route=127.0.0.1:%s">', $port{ served_by($reply) }),
    'page');
unlike($reply, qr/^Content-Length: 13\x0d$/m, 'no length of another page');
unlike($reply, qr/^Accept-Ranges/m, 'no ranges');

my @digests = qw/ Content-Digest Repr-Digest Digest Content-MD5 /;
$reply = sent('/pieces/', qq{Content-Type: text/html\x0d\x0aETag: "x"\x0d\x0a}
    . "Last-Modified: Mon, 28 Sep 1970 06:00:00 GMT\x0d\x0aAccept-Ranges: bytes\x0d\x0a"
    . "Content-Security-Policy: form-action 'self'\x0d\x0a"
    . join('', map { "$_: x\x0d\x0a" } @digests)
    . "Content-Length: 13\x0d\x0a\x0d\x0a$link");
like($reply, qr/^ETag: W\/"x"\x0d$/m, 'a strong ETag becomes a weak one');
unlike($reply, qr/^Last-Modified/m, 'the date of another page does not stay');
unlike($reply, qr/^Accept-Ranges/m, 'the server\'s ranges do not stay');
like($reply, qr/^Content-Security-Policy: form-action 'self'\x0d$/m, 'the policy stays');
unlike($reply, qr/^$_:/m, "$_ of the page before the change does not") for @digests;

$reply = sent('/pieces/', "Content-Type: text/plain\x0d\x0aETag: \"x\"\x0d\x0aContent-Length: 13"
    . "\x0d\x0aDigest: md5=eA==\x0d\x0a\x0d\x0a$link");
like($reply, qr/^Content-Length: 13\x0d\x0a(?s:.*)$link$/m, 'no page, no change');
like($reply, qr/^ETag: "x"(?s:.*)^Digest: md5=eA==/m, 'its ETag and digest stay');

$reply = sent('/pieces/', "Content-Type: text/html\x0d\x0aContent-Range: bytes 0-12/99\x0d\x0a"
    . "Content-Length: 13\x0d\x0a\x0d\x0a$link", 'X-Answer' => '206 Partial Content');
like($reply, qr/ 206 (?s:.*)$link$/, 'a part of a page stays');

$reply = sent('/pieces/', "Content-Type: text/html; charset=utf-16\x0d\x0aContent-Length: 13"
    . "\x0d\x0a\x0d\x0a$link");
like($reply, qr/\Q$link\E$/, 'a charset that hides the tags');

$reply = sent('/pieces/', "Content-Type: text/html\x0d\x0aContent-Encoding: gzip\x0d\x0a"
    . "Content-Length: 13\x0d\x0a\x0d\x0a$link");
like($reply, qr/^Content-Length: 13\x0d\x0a(?s:.*)\Q$link\E$/m, 'a compressed page stays');
sent('/pieces/', "Content-Type: text/html\x0d\x0aContent-Encoding: gzip\x0d\x0a\x0d\x0a$link");
my @said = $t->read_file('error.log') =~ /\[error\].*compressed pages are not rewritten, .* upstream "pieces"/g;
is(scalar @said, 1, 'and the log says so, once');

my $head = http("HEAD / HTTP/1.1\x0d\x0aHost: localhost\x0d\x0aConnection: close\x0d\x0a"
    . "X-Page: $link\x0d\x0a\x0d\x0a");
unlike($head, qr/^Content-Length/m, 'HEAD has no length of another page');

# After us, nginx's own filters work on the page.

$reply = http("GET /gzip/ HTTP/1.1\x0d\x0aHost: localhost\x0d\x0aConnection: close\x0d\x0a"
    . "Accept-Encoding: gzip\x0d\x0aX-Page: $link\x0d\x0a\x0d\x0a");
like($reply, qr/^Content-Encoding: gzip/m, 'gzip');
http_gzip_like($reply, qr!^<a href="/x\?route=127!, 'gzip after the change');

# Pages in pieces.

my $S = "route=127.0.0.1:$port{S}";
my $type = "Content-Type: text/html\x0d\x0a\x0d\x0a";
for my $uri ('/pieces/', '/buffered/') {
    $reply = sent($uri, $type, \0.05, '<a hr', \0.05, 'ef="/', \0.05, 'x"', \0.05, '>text', \0.05, '<b>');
    is(http_content($reply), qq{<a href="/x?$S">text<b>}, "${uri}: a tag in pieces");
}

my $large = join '', map { "<p>$_</p><a href='/$_'>$_</a>\n" } 1 .. 20_000;
(my $expected = $large) =~ s{<a href='/(\d+)'>}{<a href="/$1?$S">}g;
$t->write_file('large', $large);
for my $uri ('/pieces/', '/buffered/') {
    $reply = sent($uri, $type, \'@large');
    ok(http_content($reply) eq $expected, "${uri}: a large page");
}

# Beyond what the parser may hold, here of open elements.

my $deep = qq{<a href="/x">} . '<i>' x 40_000 . qq{<a href="/x">};
$t->write_file('deep', $deep);
for (1, 2) {
    $reply = sent('/pieces/', $type, \'@deep');
    ok(http_content($reply) eq $deep =~ s!/x!/x?$S!r, 'the rest of a page that is too deep stays');
}
@said = $t->read_file('error.log') =~ /\[error\].*the rest of a page is not rewritten, .* upstream "pieces"/g;
is(scalar @said, 1, 'and the log says so, once');

my $socket = http("GET /pieces/ HTTP/1.1\x0d\x0aHost: localhost\x0d\x0aConnection: close\x0d\x0aX-Script: "
    . script($type, '<a href="/x">first', \'?first', 'second') . "\x0d\x0a\x0d\x0a", start => 1);
ok(defined read_until($socket, qr/\Q$S\E">first/), 'what is complete goes on at once');
$t->write_file('first', '');
ok(defined read_until($socket, qr/second/), 'the rest follows');

# The application's own arguments.

$reply = page('<a href="x">', '/args?a=1&route=127.0.0.1:' . $port{B} . '&b=2');
is(served_by($reply), 'B', 'steered by an argument that is taken away');
$reply = get('/args?route=127.0.0.1:' . $port{B}, 'X-Page' => 'x');
is(served_by($reply), 'B', 'also when it was the only one');

# A server that is not there.

$reply = page($link, '/strict/');
my $port = $port{ served_by($reply) };
$t->write_file('closed_' . served_by($reply), '');
like(get("/strict/?srv=127.0.0.1:$port"), qr/ 502 /, 'no_fallback');
unlike(get('/strict/'), qr/ 502 /, 'without a session there is always a server');

sub page {
    my ($page, $uri, %headers) = @_;
    return get($uri // '/', 'X-Page' => $page, %headers);
}

# The answer that is sent in these pieces.
sub sent {
    my ($uri, @pieces) = @_;
    my %headers;
    %headers = splice @pieces, -2 if @pieces > 2 && !ref $pieces[-2] && $pieces[-2] =~ /^X-/;
    return get($uri, 'X-Script' => script(@pieces), %headers);
}
