#!/usr/bin/perl

# Tests for no_fallback and sticky_no_fallback; without them, a session whose server is away is
# either lost against the operator's will, or requests without a session are refused.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(30);

# 8081 answers, 8082 is marked down, nobody listens on 8083.

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    upstream balanced {
        sticky hash=index;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082 down;
        server 127.0.0.1:8083 max_fails=0;
    }

    upstream refused {
        sticky hash=index no_fallback;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082 down;
        server 127.0.0.1:8083 max_fails=0;
    }

    upstream alone {
        sticky hash=index no_fallback;
        server 127.0.0.1:8081;
    }

    add_header X-Status $sticky_status always;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location /balanced {
            proxy_pass http://balanced;
        }

        location /refused {
            proxy_pass http://refused;
        }

        location /alone {
            proxy_pass http://alone;
        }

        location /by-location {
            sticky_no_fallback;
            proxy_pass http://balanced;

            location /by-location/nested {
                proxy_pass http://balanced;
            }
        }
    }

    server {
        listen       127.0.0.1:8084;
        server_name  localhost;

        sticky_no_fallback;

        location / {
            proxy_pass http://balanced;
        }
    }

    server {
        listen 127.0.0.1:8081;
        location / {
            add_header X-Server $server_port;
            return 200;
        }
    }
}

EOC

$t->run();

my $server = port(8081);
my $set = 'route=0; Path=/';
my $cookie = { show => ['Set-Cookie'] };
my $other = { %$cookie, PeerAddr => '127.0.0.1:' . port(8084) };

# with fallback, which is the default

is(visit('/balanced', 'Cookie: route=0', $cookie), "$server HIT $set", 'server is there');
is(visit('/balanced', 'Cookie: route=1', $cookie), "$server GONE $set",
    'server is down: session moves');
is(visit('/balanced', 'Cookie: route=2', $cookie), "$server GONE $set",
    'server refuses connections: session moves');

# without

is(visit('/refused', 'Cookie: route=0', $cookie), "$server HIT $set",
    'no_fallback: server is there');
is(visit('/refused', 'Cookie: route=1', $cookie), '502 GONE ', 'no_fallback: server is down');
is(visit('/refused', 'Cookie: route=2', $cookie), '502 GONE ',
    'no_fallback: server refuses connections');

# A request without a session is always balanced, also past servers that fail.

for (1 .. 4) {
    is(visit('/refused', $cookie), "$server NEW $set", 'no_fallback: no cookie');
    is(visit('/refused', 'Cookie: route=7', $cookie), "$server MISS $set",
        'no_fallback: unknown cookie');
}
is(visit('/refused', 'Cookie: route=', $cookie), "$server MISS $set", 'no_fallback: empty cookie');

my $reply = get('/refused', 'Cookie: router=1; xroute=1');
like($reply, qr/ 200 /, 'no_fallback: cookies of others');

# per location

is(visit('/by-location', 'Cookie: route=0', $cookie), "$server HIT $set",
    'location: server is there');
is(visit('/by-location', 'Cookie: route=1', $cookie), '502 GONE ', 'location: server is down');
is(visit('/by-location', $cookie), "$server NEW $set", 'location: no cookie');
is(visit('/by-location', 'Cookie: route=7', $cookie), "$server MISS $set",
    'location: unknown cookie');
is(visit('/by-location/nested', 'Cookie: route=1', $cookie), '502 GONE ',
    'nested location inherits');
is(visit('/', 'Cookie: route=0', $other), "$server HIT $set", 'server{}: server is there');
is(visit('/', 'Cookie: route=1', $other), '502 GONE ', 'server{}: server is down');
is(visit('/', $other), "$server NEW $set", 'server{}: no cookie');
is(visit('/balanced', 'Cookie: route=1', $cookie), "$server GONE $set",
    'other locations are not concerned');

# one server

is(visit('/alone', $cookie), "$server NEW $set", 'one server: no cookie');
is(visit('/alone', 'Cookie: route=7', $cookie), "$server MISS $set", 'one server: unknown cookie');
is(visit('/alone', 'Cookie: route=0', $cookie), "$server HIT $set", 'one server: session');

# What was refused is not held against the next requests.

is(visit('/refused', $cookie), "$server NEW $set", 'balanced after refusals');
is(visit('/refused', 'Cookie: route=0', $cookie), "$server HIT $set", 'steered after refusals');
