#!/usr/bin/perl

# Tests for what is taken over from Angie: sticky_secret, sticky_strict and $upstream_sticky_status;
# without these, a cookie that a client has made up names a server, a session that must not move
# moves, and nobody sees how the tries of a request went.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;

use Digest::MD5 qw/ md5_hex /;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite upstream_zone upstream_least_conn/)->plan(42);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    upstream secret {
        server 127.0.0.1:8081;
        server 127.0.0.1:8082 route=two;
        sticky cookie c path=/;
        sticky_secret salt;
    }

    # The directive may stand anywhere; the secret may hold variables.
    upstream variable {
        zone variable 64k;
        sticky_secret $arg_salt;
        least_conn;
        server 127.0.0.1:8081 route=one;
        server 127.0.0.1:8082 route=two;
        sticky route $arg_r;
        keepalive 4;
    }

    upstream strict {
        zone strict 64k;
        server 127.0.0.1:8081 route=one max_conns=1;
        server 127.0.0.1:8083 route=dead max_fails=0;
        server 127.0.0.1:8084 route=down down;
        sticky route $arg_r;
        sticky_strict on;
    }

    upstream loose {
        server 127.0.0.1:8081 route=one;
        server 127.0.0.1:8083 route=dead max_fails=0;
        sticky route $arg_r;
        sticky_strict off;
        sticky_secret "";
    }

    upstream learn {
        server 127.0.0.1:8081;
        server 127.0.0.1:8083 max_fails=0;
        sticky learn create=$arg_s lookup=$arg_s zone=learn:32k;
        sticky_strict on;
    }

    upstream dead {
        server 127.0.0.1:8083 max_fails=0;
        server 127.0.0.1:8086 max_fails=0;
    }

    upstream last {
        server 127.0.0.1:8081 route=one;
        server 127.0.0.1:8083 route=dead max_fails=0;
        sticky route $arg_r;
    }

    upstream cookie {
        server 127.0.0.1:8081;
        server 127.0.0.1:8084 down;
        sticky hash=index;
        sticky_strict on;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        add_header X-Tries $upstream_sticky_status always;
        add_header X-Addresses $upstream_addr always;
        add_header X-Status $sticky_status always;

        location ~ ^/(\w+)$ {
            proxy_pass http://$1;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
        location /none {
            return 204;
        }

        # Two upstreams, one after the other.
        location /after/plain {
            error_page 502 = @route;
            proxy_pass http://dead;
        }
        location /after/sticky {
            error_page 502 = @route;
            proxy_pass http://strict;
        }
        location /after/accel {
            proxy_pass http://last/accel;
        }
        location @route {
            proxy_pass http://last;
        }
    }

    server {
        listen       127.0.0.1:8081;
        listen       127.0.0.1:8082;
        server_name  localhost;

        location / {
            return 200 "port $server_port\n";
        }
        location /accel {
            add_header X-Accel-Redirect @route;
            return 200;
        }
    }
}

EOC

$t->run();

my ($first, $second) = (port(8081), port(8082));

# sticky_secret: the id with the secret behind it.

my %cookie = (
    $first => md5_hex(md5_hex("127.0.0.1:$first") . 'salt'),
    $second => md5_hex('twosalt'),
);

for my $try (1, 2) {
    my $reply = get('/secret');
    my $port = port_of($reply);
    my ($set) = $reply =~ /^Set-Cookie: ([^\x0d\x0a]*)/m;
    is($set, "c=$cookie{$port}; path=/", "cookie of a new session, $try");
    is(header('X-Tries', $reply), 'NEW', "which is new, $try");
}
for my $port ($first, $second) {
    my $reply = get('/secret', "Cookie: c=$cookie{$port}");
    is(port_of($reply), $port, "a salted cookie of $port");
    is(header('X-Tries', $reply), 'HIT', "is a hit, $port");
    is(header('X-Status', $reply), 'HIT', "in both variables, $port");
}
is(tries('/secret', 'Cookie: c=' . md5_hex("127.0.0.1:$first")), 'MISS', 'an unsalted cookie');
is(tries('/secret', 'Cookie: c=two'), 'MISS', 'an unsalted route');

for my $salt ('a', 'b', '') {
    my $two = md5_hex("two$salt");
    my $reply = get("/variable?salt=$salt&r=$two");
    is(port_of($reply), $second, "secret '$salt' of a variable");
    is(tries("/variable?salt=x&r=$two"), 'MISS', "and not with another, '$salt'");
}

# sticky_strict

is(code(get('/strict?r=one')), 200, 'strict: a server that is there');
is(code(get('/strict?r=down')), 502, 'strict: one that is down');
is(code(get('/strict?r=dead')), 502, 'strict: one that cannot be reached');
is(code(get('/strict?r=nobody')), 502, 'strict: one that is not there');
for (1 .. 5) {
    code(get('/strict?r=nobody'));
}
is(code(get('/strict?r=one')), 200, 'strict: what was refused holds no connection');
is(code(get('/strict')), 200, 'strict: no id, no matter');
is(tries('/strict?r=down'), 'MISS', 'strict: the try is a miss');
is(tries('/strict?r=dead'), 'HIT, MISS', 'strict: a hit that failed, and no other');

is(code(get('/loose?r=dead')), 200, 'not strict: another server');
is(tries('/loose?r=' . md5_hex('dead')), 'HIT, MISS', 'not strict: a hit that failed, and another');
is(tries('/loose?r=' . md5_hex('one')), 'HIT', 'an empty secret is one too');

is(code(get('/learn?s=a')), 200, 'strict learn: a new session');
is(tries('/learn?s=a'), 'HIT', 'strict learn: which is known');

is(code(get('/cookie', 'Cookie: route=1')), 502, q{strict: a cookie of the module's own mode});
is(code(get('/cookie', 'Cookie: route=0')), 200, 'strict: whose server is there');
is(tries('/cookie', 'Cookie: route=0'), 'HIT', 'tries there');
is(tries('/cookie'), 'NEW', 'new there');
# After an internal redirect, the tries of the upstream that answers.
# None where nginx's own module serves the directive.

my $is_ours = !$t->has_version('1.29.6');

for my $case (
    ['plain', 'one', 'HIT', 2, 'an upstream that is not sticky'],
    ['sticky', 'dead', 'HIT, MISS', 2, 'one that is strict'],
    ['accel', 'one', 'HIT', 1, 'X-Accel-Redirect'],
) {
    my ($uri, $route, $tries, $before, $what) = @$case;
    my $reply = get("/after/$uri?r=$route");
    is(header('X-Tries', $reply) // '', $is_ours ? $tries : '', "after $what: its own tries");
    my @addresses = split /, | : /, header('X-Addresses', $reply);
    is(scalar(@addresses), $before + split(/, /, $tries), "after $what: beside all addresses");
}

unlike(get('/none'), qr/X-Tries/, 'no variable without an upstream');

sub port_of { return $_[0] =~ /^port (\d+)/m ? $1 : 'nowhere' }
sub tries { return header('X-Tries', get(@_)) }
