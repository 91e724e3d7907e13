#!/usr/bin/perl

# Tests for two sticky upstreams in one request; without these, the cookie of one upstream names a
# server of the other, or the first one counts a connection for ever.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite upstream_zone /)->plan(22);

# Nobody listens on 8083.

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;
worker_processes 1;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    upstream failing {
        zone failing 64k;
        sticky name=failing hash=index;
        server 127.0.0.1:8083 max_fails=0;
        server 127.0.0.1:8084 down;
    }

    upstream strict {
        zone strict 64k;
        sticky name=strict hash=index no_fallback;
        server 127.0.0.1:8085 max_conns=1;
        server 127.0.0.1:8083 max_fails=0;
    }

    upstream unhappy {
        zone unhappy 64k;
        sticky name=unhappy hash=index;
        server 127.0.0.1:8085 max_conns=1;
    }

    upstream second {
        sticky name=second hash=index;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream plain {
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    add_header X-Status $sticky_status always;
    add_header X-Peer   $sticky_peer always;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location /failing {
            error_page 502 = @second;
            proxy_pass http://failing;
        }

        location /strict {
            error_page 502 = @second;
            proxy_pass http://strict;
        }

        location /unhappy {
            error_page 503 = /uri;
            proxy_intercept_errors on;
            proxy_pass http://unhappy;
        }

        location /to-plain {
            error_page 502 = @plain;
            proxy_pass http://failing;
        }

        location @second {
            proxy_pass http://second;
        }

        location @plain {
            proxy_pass http://plain;
        }

        location /uri {
            proxy_pass http://second;
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

    server {
        listen 127.0.0.1:8085;

        location / {
            return 503;
        }
    }
}

EOC

$t->run();

my @ports = (port(8081), port(8082));
my $well = '127.0.0.1:' . port(8085);

for my $uri (qw! /failing /unhappy !) {
    my $name = substr $uri, 1;

    my $reply = get($uri);
    my ($number) = grep { $ports[$_] eq served_by($reply) } 0, 1;
    is_deeply([cookies($reply)], ["second=$number; Path=/"],
        "$name: cookie of the upstream that answered, and no other");
    is(status($reply), 'NEW', "$name: its status");

    for my $number (0, 1) {
        my %seen;
        for (1 .. 3) {
            my $reply = get($uri, "Cookie: $name=0; second=$number");
            $seen{join ' ', map { header($_, $reply) } qw/ X-Server X-Status X-Peer /}++;
        }
        is_deeply(\%seen, { "$ports[$number] HIT 127.0.0.1:$ports[$number]" => 3 },
            "$name: session of the second upstream, server $number");
    }

    $reply = get($uri, "Cookie: $name=0");
    is(status($reply), 'NEW', "$name: a session of the first is none of the second");
}

# A refusal of the first is a reason to ask the second.

my $reply = get('/strict', 'Cookie: strict=1; second=1');
is_deeply([served_by($reply), status($reply), cookies($reply)],
    [$ports[1], 'HIT', 'second=1; Path=/'], 'strict: refused, the second upstream serves');

# An upstream without sticky after one with it.

$reply = get('/to-plain', 'Cookie: failing=0; second=1');
like($reply, qr/ 200 /, 'plain: serves');
is_deeply([status($reply), header('X-Peer', $reply), cookies($reply)], ['', ''],
    'plain: nothing is left of the first upstream');

# The only connection of max_conns=1 is free after each of these.

for my $round (1 .. 3) {
    $reply = get('/strict', 'Cookie: strict=0');
    like($reply, qr/ 503 /, "connection of the first upstream is free again, round $round");
    is(header('X-Peer', $reply), $well, "and it has answered, round $round");
}

is_deeply([map { served_by(get('/unhappy', "Cookie: unhappy=0; second=$_")) } 0, 1],
    \@ports, 'intercepted once more');

# With error_page, what the first upstream has answered is not told.

unlike(get('/unhappy'), qr/^Set-Cookie: unhappy/m, 'no cookie of a server whose page is hidden');
unlike(get('/failing', 'Cookie: failing=1'), qr/^Set-Cookie: failing/m,
    'no cookie of an upstream without a server');
