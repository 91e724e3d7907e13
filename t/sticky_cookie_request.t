#!/usr/bin/perl

# Tests for how the cookie is found among those of a request; without them, a client with many
# cookies loses its session.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;

my @found = (
    'route=1',
    'a=b; route=1',
    'route=1; a=b',
    'a=b;route=1;c=d',
    'a=b;  route=1  ; c=d',
    "a=b;\troute=1\t;c=d",
    'route=1;',
    'a="x; route=1; y"; b=c',
    'xroute=0; route=1',
    'route2=0; route=1',
    'Route=0; route=1',
    'a=route=0; route=1',
    'route; route=1',
    'route=1; route=0',
    'route=9; route=1',
    'route=; route=1',
    join('; ', map { "route=$_" } 12 .. 18, 1),
    'a=' . 'x' x 3000 . '; route=1',
);

my @unknown = (
    'route=',
    'route="1"',
    'route=1 0',
    'route=01',
    'route=1=',
    'route==1',
    'route=%31',
    join('; ', map { "route=$_" } 12 .. 19, 1),
);

my @none = (
    'router=1',
    'xroute=1',
    'Route=1',
    'a=route=1',
    'route',
    'route:1',
    '=1',
    ';;;',
    'a=b, route=1',
);

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(@found + @unknown + @none + 5);

# Server 1 is never chosen but for its cookie.

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    upstream sticky {
        sticky hash=index hide_cookie;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082 backup;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location / {
            proxy_pass http://sticky;
            add_header X-Status $sticky_status;
        }
    }

    server {
        listen 127.0.0.1:8081;
        listen 127.0.0.1:8082;

        location / {
            add_header X-Server $server_port;
            return 200;
        }
    }
}

EOC

$t->run();

my ($usual, $named) = (port(8081), port(8082));

is(visit('/', "Cookie: $_"), "$named HIT", 'found: ' . shortened($_)) for @found;
is(visit('/', "Cookie: $_"), "$usual MISS", 'found and unknown: ' . shortened($_)) for @unknown;
is(visit('/', "Cookie: $_"), "$usual NONE", "not found: $_") for @none;

is(visit('/', 'Cookie: a=b', 'Cookie: route=1'), "$named HIT", 'in the second of two headers');
is(visit('/', 'Cookie: a=b', 'Cookie: c=d', 'Cookie: e=f; route=1; g=h', 'Cookie: i=j'), "$named HIT",
    'in the third of four headers');
is(visit('/', 'Cookie: route=1', 'Cookie: route=0'), "$named HIT", 'the first header that has it');
is(visit('/', 'cOOkie: route=1'), "$named HIT", 'header name in another case');
is(visit('/', 'X-Cookie: route=1'), "$usual NONE", 'another header');

sub shortened { return length $_[0] > 60 ? substr($_[0], 0, 20) . ' ...' : $_[0] }
