#!/usr/bin/perl

# Tests for transfer and delimiter in mode cookie, and for cookies that the application sets itself;
# without these, an application with a cookie of the same name loses its value, or others of its
# cookies.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;

use Digest::MD5 qw/ md5_hex /;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(25);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    upstream plain {
        sticky;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream transfer {
        sticky transfer;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream delimiter {
        sticky transfer delimiter=_-_;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream raw {
        sticky text=raw transfer delimiter=.;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream hidden {
        sticky hide_cookie;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location ~ ^/(?<name>plain|transfer|delimiter|raw|hidden)/(?<rest>\w+) {
            proxy_pass http://$name/$rest;
            add_header X-Status $sticky_status;
        }
    }

    server {
        listen 127.0.0.1:8081;
        listen 127.0.0.1:8082;

        add_header X-Server $server_port;
        add_header X-Cookie "[$http_cookie]";

        location /silent {
            return 200;
        }

        location /login {
            add_header X-Server $server_port;
            add_header X-Cookie "[$http_cookie]";
            add_header Set-Cookie "route=app42; Path=/app; HttpOnly";
            return 200;
        }

        location /many {
            add_header X-Server $server_port;
            add_header Set-Cookie "first=1; Path=/";
            add_header Set-Cookie "route=app42";
            add_header Set-Cookie "xroute=2";
            add_header Set-Cookie "route2=3";
            add_header Set-Cookie "Route=4";
            add_header Set-Cookie "last=route=5; Path=/";
            return 200;
        }

        location /twice {
            add_header X-Server $server_port;
            add_header Set-Cookie "route=app42";
            add_header Set-Cookie "other=1";
            add_header Set-Cookie "route=app43; Secure";
            return 200;
        }

        location /spaced {
            add_header X-Server $server_port;
            add_header Set-Cookie "route = app42 ; Path=/";
            return 200;
        }

        location /empty {
            add_header X-Server $server_port;
            add_header Set-Cookie "route=";
            return 200;
        }
    }
}

EOC

$t->run();

my @ports = (port(8081), port(8082));
my %value = map { $_ => md5_hex("127.0.0.1:$_") } @ports;

# the application's own cookies

my $reply = get('/plain/login');
is_deeply([cookies($reply)], ["route=$value{served_by($reply)}; Path=/"],
    'cookie of the same name replaced');

my @kept = ('first=1; Path=/', 'xroute=2', 'route2=3', 'Route=4', 'last=route=5; Path=/');
$reply = get('/plain/many');
is_deeply([sort(cookies($reply))], [sort @kept, "route=$value{served_by($reply)}; Path=/"],
    'other cookies kept');

$reply = get('/plain/twice');
is_deeply([sort(cookies($reply))], [sort 'other=1', "route=$value{served_by($reply)}; Path=/"],
    'all cookies of the same name replaced');

$reply = get('/plain/spaced');
is_deeply([cookies($reply)], ["route=$value{served_by($reply)}; Path=/"],
    'cookie of the same name replaced, as browsers read names');

$reply = get('/hidden/many');
is_deeply([grep { $_ ne 'route=app42' } cookies($reply)], \@kept,
    'hide_cookie: cookies of other names kept, none added');

# transfer

$reply = get('/transfer/silent');
is_deeply([cookies($reply)], ["route=$value{served_by($reply)}; Path=/"],
    'nothing to transfer');

$reply = get('/transfer/login');
my $port = served_by($reply);
is_deeply([cookies($reply)], ["route=$value{$port} app42; Path=/"],
    q{the application's value stands behind the server's});

for (1 .. 3) {
    $reply = get('/transfer/silent', "Cookie: a=b; route=$value{$port} app42");
    is(served_by($reply) . ' ' . status($reply), "$port HIT",
        'cookie with both values leads to the server');
    is_deeply([cookies($reply)], ["route=$value{$port} app42; Path=/"],
        q{the application's value stays with the client});
}
is(header('X-Cookie', $reply), "[a=b; route=$value{$port} app42]",
    'the application gets what the client sent');

$reply = get('/transfer/twice', "Cookie: route=$value{$port} old");
is_deeply([cookies($reply)], ['other=1', "route=$value{$port} app43; Path=/"],
    'a new value replaces the old one, the last of several');

$reply = get('/transfer/empty', "Cookie: route=$value{$port} old");
like((cookies($reply))[0], qr/^route=$value{$port} ?; Path=/,
    'a value that the application has emptied is not kept');

$reply = get('/transfer/silent', 'Cookie: route=unknown app42');
is_deeply([status($reply), cookies($reply)],
    ['MISS', "route=$value{served_by($reply)} app42; Path=/"],
    'value stays when the server is unknown');

$reply = get('/plain/silent', "Cookie: route=$value{$port} app42");
is(status($reply), 'MISS', 'without transfer, the value is taken whole');

# delimiter

$reply = get('/delimiter/login');
$port = served_by($reply);
is_deeply([cookies($reply)], ["route=$value{$port}_-_app42; Path=/"], 'delimiter');

$reply = get('/delimiter/silent', "Cookie: route=$value{$port}_-_a_-_b");
is_deeply([served_by($reply), cookies($reply)], [$port, "route=$value{$port}_-_a_-_b; Path=/"],
    'the first delimiter divides');

$reply = get('/delimiter/silent', "Cookie: route=$value{$port}");
is_deeply([served_by($reply), status($reply), cookies($reply)],
    [$port, 'HIT', "route=$value{$port}; Path=/"], 'cookie without delimiter');

# The name of a server may hold the delimiter.

for my $port (@ports) {
    $reply = get('/raw/silent', "Cookie: route=127.0.0.1:$port.app42");
    is_deeply([served_by($reply), status($reply), cookies($reply)],
        [$port, 'HIT', "route=127.0.0.1:$port.app42; Path=/"],
        'delimiter within the name of the server');

    $reply = get('/raw/silent', "Cookie: route=127.0.0.1:$port");
    is_deeply([served_by($reply), status($reply), cookies($reply)],
        [$port, 'HIT', "route=127.0.0.1:$port; Path=/"],
        'delimiter within the name of the server, and no value behind it');
}
