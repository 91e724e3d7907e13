#!/usr/bin/perl

# Tests for no_fallback=503: without it, a request whose server is away cannot be told from one that
# a broken server has answered, and error_page cannot either.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite cache upstream_keepalive ssi /)->plan(43);

# 8081 and 8084 answer, 8082 is marked down, nobody listens on 8083.

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    proxy_cache_path %%TESTDIR%%/cache keys_zone=cache:1m;

    upstream u {
        sticky hash=index no_fallback=503;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082 down;
        server 127.0.0.1:8083 max_fails=0;
    }

    upstream as_before {
        sticky hash=index no_fallback=502;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082 down;
    }

    upstream query {
        sticky mode=query no_fallback=503;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082 down;
    }

    upstream rewritten {
        sticky mode=rewrite hash=index no_fallback=503;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082 down;
    }

    upstream kept {
        sticky hash=index no_fallback=503;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082 down;
        keepalive 4;
    }

    add_header X-Status $sticky_status always;
    log_format codes '$request_uri $status $upstream_addr [$upstream_status]';

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        access_log   %%TESTDIR%%/codes.log codes;

        proxy_intercept_errors on;

        location /plain { proxy_pass http://u; }
        location /as_before { proxy_pass http://as_before; }
        location /query { proxy_pass http://query; }
        location /rewritten { proxy_pass http://rewritten; }
        location /kept {
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_pass http://kept;
        }

        location /page {
            error_page 502 /wrong.html;
            error_page 503 /away.html;
            proxy_pass http://u;
        }
        location /other_code {
            error_page 503 =200 /away.html;
            proxy_pass http://u;
        }
        location /named {
            error_page 503 = @named;
            proxy_pass http://u;
        }
        location /proxied {
            error_page 503 = @proxied;
            proxy_pass http://u;
        }
        location /elsewhere {
            error_page 503 http://elsewhere.example/;
            proxy_pass http://u;
        }
        location /bad_gateway {
            error_page 502 /wrong.html;
            proxy_pass http://u;
        }
        location @named { return 200 "named"; }
        location @proxied { proxy_pass http://127.0.0.1:8084; }

        location /cached {
            proxy_cache cache;
            proxy_cache_key $uri;
            proxy_cache_valid 200 1s;
            proxy_cache_use_stale error timeout updating http_502 http_503;
            proxy_pass http://u;
        }
        location = /ssi {
            ssi on;
            ssi_types text/plain;
            default_type text/plain;
            return 200 '<!--# include virtual="/plain" -->after';
        }
    }

    server {
        listen 127.0.0.1:8081;
        listen 127.0.0.1:8084;
        location / {
            add_header X-Server $server_port;
            return 200 "from $server_port";
        }
    }
}

EOC

$t->write_file('away.html', 'the server is away');
$t->write_file('wrong.html', 'wrong');
mkdir $t->testdir() . '/html';
$t->write_file("html/$_", $t->read_file($_)) for qw/ away.html wrong.html /;
$t->run();

my ($first, $other) = (port(8081), port(8084));
my @down = ('Cookie: route=1');
my @broken = ('Cookie: route=2');

is(visit('/plain', 'Cookie: route=0'), "$first HIT", 'its server is there');
is(visit('/plain', @down), '503 GONE', 'its server is down');
like(get('/plain', @down), qr/503 Service Temporarily Unavailable/, 'the page of nginx');
is(visit('/plain', @broken), '503 GONE', 'its server refuses connections');
is(visit('/plain'), "$first NEW", 'no cookie: balanced');
is(visit('/plain', 'Cookie: route=7'), "$first MISS", 'unknown cookie: balanced');
is(visit('/as_before', @down), '502 GONE', 'no_fallback=502');
is(visit('/rewritten?route=1'), '503 GONE', 'mode=rewrite');
is(visit('/kept', @down), '503 GONE', 'with keepalive');

# error_page

for ([page => 503, 'the server is away'], [other_code => 200, 'the server is away'],
    [named => 200, 'named'], [proxied => 200, "from $other"], [bad_gateway => 503, '503 Service']) {
    my ($where, $code, $body) = @$_;
    for (['down', @down], ['broken', @broken]) {
        my ($what, @headers) = @$_;
        my $reply = get("/$where", @headers);
        is(code($reply), $code, "$where, $what: status");
        like($reply, qr/\x0d\x0a\x0d\x0a(?:.*)\Q$body\E/s, "$where, $what: body");
    }
}
my $reply = get('/elsewhere', @down);
is(code($reply) . ' ' . header('Location', $reply), '302 http://elsewhere.example/', 'a redirect');
is(visit('/page', 'Cookie: route=0'), "$first HIT", 'not when its server is there');

# A connection goes on, with a body as well.

my $socket = get('/plain', @down, Connection => 'keep-alive', { start => 1 });
my $begun = read_until($socket, qr/<\/html>/);
is(code($begun), 503, 'kept alive: refused');
is(code(get('/plain', 'Cookie: route=0', { socket => $socket })), 200, 'kept alive: the next request');
$reply = post('/named', 'x' x 100_000, @down);
is(code($reply), 200, 'a body that is not wanted');

# What is stale in the cache is not served beside the refusal.

is(code(get('/cached/1', 'Cookie: route=0')), 200, 'cached');
sleep 2;
is(code(get('/cached/1', @down)), 503, 'stale in the cache');
is(code(get('/cached/1', 'Cookie: route=0')), 200, 'and it can be fetched again');

like(get('/ssi', @down), qr/503 Service.*after/s, 'a subrequest');
is(code(get('/plain', @down)), 503, "and again, $_") for 1 .. 3;

$t->stop();
my $log = $t->read_file('codes.log');
like($log, qr!^/plain 503 \S+ \[502\]$!m, 'in the log');
my @alerts = grep { /\[alert\]/ } split /\n/, $t->read_file('error.log');
is_deeply(\@alerts, [], 'nothing is left over');
