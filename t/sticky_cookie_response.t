#!/usr/bin/perl

# Tests for which responses bring the cookie; without them, a cookie gets into a cache and leads
# everybody to one server, or names a server that has not answered.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;

use Digest::MD5 qw/ md5_hex /;

my $t = Test::Nginx->new()->has(qw/ http proxy cache rewrite ssi /)->plan(31);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;
worker_processes 4;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    proxy_cache_path %%TESTDIR%%/cache keys_zone=cache:1m;

    upstream sticky {
        sticky;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream one {
        sticky;
        server 127.0.0.1:8081;
    }

    upstream dead {
        sticky;
        server 127.0.0.1:8083;
    }

    upstream other {
        sticky name=other;
        server 127.0.0.1:8082;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location / {
            proxy_pass http://sticky;
        }

        location /one {
            proxy_pass http://one;
        }

        location /hidden {
            sticky_hide_cookie;
            proxy_pass http://sticky;

            location /hidden/nested {
                proxy_pass http://sticky;
            }
        }

        location /dead {
            proxy_pass http://dead;
        }

        location /page {
            error_page 502 503 /own.html;
            proxy_pass http://dead;
        }

        location /intercepted {
            error_page 503 /own.html;
            proxy_intercept_errors on;
            proxy_pass http://sticky/503;
        }

        location /own.html {
            return 200 "own page";
        }

        location /cached {
            proxy_cache cache;
            proxy_cache_valid any 1h;
            add_header X-Cache $upstream_cache_status;
            proxy_pass http://sticky;
        }

        location /stale {
            proxy_cache cache;
            proxy_cache_valid any 1s;
            proxy_cache_use_stale error;
            proxy_pass http://dead;
        }

        location /other {
            proxy_pass http://other;
        }

        location /ssi {
            ssi on;
            ssi_types *;
            proxy_pass http://sticky;
        }

        location /return {
            return 200 "nginx itself";
        }
    }

    server {
        listen 127.0.0.1:8081;
        listen 127.0.0.1:8082;

        add_header X-Server $server_port always;

        location / {
            return 200 "a page";
        }

        location /404 {
            return 404;
        }

        location /500 {
            return 500;
        }

        location /503 {
            return 503;
        }

        location /302 {
            return 302 http://localhost/;
        }

        location /304 {
            return 304;
        }

        location /204 {
            return 204;
        }

        location /accel {
            add_header X-Accel-Redirect /other;
            return 200;
        }

        location /ssi {
            return 200 '<!--#include virtual="/other" -->';
        }
    }
}

EOC

$t->run();

my ($first, $second) = (port(8081), port(8082));
my %value = map { $_ => md5_hex("127.0.0.1:$_") } $first, $second;

# responses of a server

for my $case (
    ['/a-page', 200], ['/404', 404], ['/500', 500], ['/503', 503], ['/302', 302],
    ['/304', 304], ['/204', 204],
) {
    my ($uri, $code) = @$case;
    my $reply = get($uri);
    my ($given) = $reply =~ m!^HTTP/1\.\d (\d+)!;
    is_deeply([$given, cookies($reply)], [$code, "route=$value{served_by($reply)}; Path=/"],
        "$code of a server");
}

my $reply = send_request('HEAD', '/');
is_deeply([cookies($reply)], ["route=$value{served_by($reply)}; Path=/"], 'HEAD');
like($reply, qr/\x0d\x0a\x0d\x0a\z/, 'HEAD has no body');

$reply = get('/', "Cookie: route=$value{$first}");
is_deeply([served_by($reply), cookies($reply)], [$first, "route=$value{$first}; Path=/"],
    'every response of a session brings it again');

is_deeply([cookies(get('/one'))], ["route=$value{$first}; Path=/"], 'one server');
$reply = get('/one', "Cookie: route=$value{$second}");
is_deeply([served_by($reply), cookies($reply)], [$first, "route=$value{$first}; Path=/"],
    'one server, cookie of another');

# sticky_hide_cookie

is_deeply([cookies(get('/hidden'))], [], 'sticky_hide_cookie');
is_deeply([cookies(get('/hidden/nested'))], [], 'sticky_hide_cookie inherited');
for my $port ($first, $second) {
    my %seen;
    $seen{served_by(get('/hidden', "Cookie: route=$value{$port}"))}++ for 1 .. 4;
    is_deeply(\%seen, { $port => 4 }, 'sticky_hide_cookie: a cookie still leads to its server');
}

# nginx's own

like(get('/dead'), qr/ 502 /, 'no server answers');
is_deeply([cookies(get('/dead'))], [], q{nginx's own error page});
is_deeply([cookies(get('/dead', "Cookie: route=$value{$second}"))], [],
    q{nginx's own error page for an unknown cookie});

$reply = get('/page');
is_deeply([http_body($reply), cookies($reply)], ['own page'], 'error_page');
$reply = get('/intercepted');
is_deeply([http_body($reply), cookies($reply)], ['own page'],
    'error_page instead of the answer of a server');
is_deeply([cookies(get('/return'))], [], 'return');

# cache

$reply = get('/cached');
is(header('X-Cache', $reply), 'MISS', 'not cached yet');
is_deeply([cookies($reply)], ["route=$value{served_by($reply)}; Path=/"],
    'a response that goes into the cache');
$reply = get('/cached');
is(header('X-Cache', $reply), 'HIT', 'cached');
is_deeply([cookies($reply)], [], 'a response out of the cache');
is_deeply([cookies(get('/cached', "Cookie: route=$value{$first}"))], [],
    'a response out of the cache for a client with a session');
is_deeply([cookies(get('/stale'))], [], 'cache that has nothing');

# two upstreams in one request

$reply = get('/accel', "Cookie: route=$value{$first}");
is_deeply([served_by($reply), cookies($reply)], [$second, "other=$value{$second}; Path=/"],
    'X-Accel-Redirect: cookie of the upstream that answered');

$reply = get('/ssi', "Cookie: route=$value{$first}");
like($reply, qr/a page/, 'SSI include');
is_deeply([cookies($reply)], ["route=$value{$first}; Path=/"],
    'SSI: cookie of the main request only');

sub http_body { return $_[0] =~ s/\A.*?\x0d\x0a\x0d\x0a//sr }
