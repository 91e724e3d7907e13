#!/usr/bin/perl

# Tests for no_fallback and sticky_no_fallback; without them, a session whose server is away is
# either lost against the operator's will, or requests without a session are refused.

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }
use lib map { split /:/ } grep { defined } @ENV{qw/ TEST_NGINX_LIB PERL5LIB /}, 'lib';
use Test::Nginx;
use Sticky::Servers qw/ request header cookies served_by /;

select STDERR; $| = 1;
select STDOUT; $| = 1;

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
my $other = { PeerAddr => '127.0.0.1:' . port(8084) };

# with fallback, which is the default

is(visit('/balanced', 0), "200 HIT $server 0", 'server is there');
is(visit('/balanced', 1), "200 GONE $server 0", 'server is down: session moves');
is(visit('/balanced', 2), "200 GONE $server 0", 'server refuses connections: session moves');

# without

is(visit('/refused', 0), "200 HIT $server 0", 'no_fallback: server is there');
is(visit('/refused', 1), '502 GONE  ', 'no_fallback: server is down');
is(visit('/refused', 2), '502 GONE  ', 'no_fallback: server refuses connections');

# A request without a session is always balanced, also past servers that fail.

for (1 .. 4) {
    is(visit('/refused'), "200 NEW $server 0", 'no_fallback: no cookie');
    is(visit('/refused', 7), "200 MISS $server 0", 'no_fallback: unknown cookie');
}
is(visit('/refused', ''), "200 MISS $server 0", 'no_fallback: empty cookie');

my $reply = request('/refused', 'Cookie: router=1; xroute=1');
like($reply, qr/ 200 /, 'no_fallback: cookies of others');

# per location

is(visit('/by-location', 0), "200 HIT $server 0", 'location: server is there');
is(visit('/by-location', 1), '502 GONE  ', 'location: server is down');
is(visit('/by-location'), "200 NEW $server 0", 'location: no cookie');
is(visit('/by-location', 7), "200 MISS $server 0", 'location: unknown cookie');
is(visit('/by-location/nested', 1), '502 GONE  ', 'nested location inherits');
is(visit('/', 0, $other), "200 HIT $server 0", 'server{}: server is there');
is(visit('/', 1, $other), '502 GONE  ', 'server{}: server is down');
is(visit('/', undef, $other), "200 NEW $server 0", 'server{}: no cookie');
is(visit('/balanced', 1), "200 GONE $server 0", 'other locations are not concerned');

# one server

is(visit('/alone'), "200 NEW $server 0", 'one server: no cookie');
is(visit('/alone', 7), "200 MISS $server 0", 'one server: unknown cookie');
is(visit('/alone', 0), "200 HIT $server 0", 'one server: session');

# What was refused is not held against the next requests.

is(visit('/refused'), "200 NEW $server 0", 'balanced after refusals');
is(visit('/refused', 0), "200 HIT $server 0", 'steered after refusals');

# Status code, $sticky_status, server, and value of the cookie that is set.
sub visit {
    my ($uri, $value, @options) = @_;
    my $reply = request($uri, defined $value ? "Cookie: route=$value" : (), @options);
    my ($code) = $reply =~ m!^HTTP/1\.\d (\d+)!;
    my ($cookie) = (cookies($reply))[0] // '';
    return join ' ', $code, header('X-Status', $reply), served_by($reply),
        $cookie =~ s/^route=([^;]*).*/$1/r;
}
