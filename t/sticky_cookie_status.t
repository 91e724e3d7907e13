#!/usr/bin/perl

# Tests for $sticky_status and $sticky_peer in mode cookie, in a header and in the access log;
# without them, nobody sees whether sessions hold.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(25);

# 8081 answers, 8082 is marked down.

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    log_format sticky '$uri $sticky_status $sticky_peer';

    upstream sticky {
        sticky hash=index;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082 down;
    }

    upstream plain {
        server 127.0.0.1:8081;
    }

    upstream strict {
        sticky hash=index no_fallback;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082 down;
    }

    add_header X-Status "[$sticky_status]" always;
    add_header X-Peer   "[$sticky_peer]" always;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        access_log %%TESTDIR%%/sticky.log sticky;

        location / {
            proxy_pass http://sticky;
        }

        location /hidden {
            sticky_hide_cookie;
            proxy_pass http://sticky;
        }

        location /strict {
            proxy_pass http://strict;
        }

        location /plain {
            proxy_pass http://plain;
        }

        location /address {
            proxy_pass http://127.0.0.1:8081;
        }

        location /own {
            return 200;
        }

        location /missing {
            proxy_pass http://sticky;
        }
    }

    server {
        listen 127.0.0.1:8081;

        location / {
            add_header X-Server $server_port;
            return 200;
        }

        location /missing {
            return 404;
        }
    }
}

EOC

$t->run();

my $peer = '127.0.0.1:' . port(8081);

# Uri, cookie, what status and peer are.
my @cases = (
    ['/new', undef, 'NEW', $peer],
    ['/hit', 0, 'HIT', $peer],
    ['/miss', 7, 'MISS', $peer],
    ['/gone', 1, 'GONE', $peer],
    ['/hidden/none', undef, 'NONE', $peer],
    ['/hidden/hit', 0, 'HIT', $peer],
    ['/strict/gone', 1, 'GONE', ''],
    ['/plain', 0, '', ''],
    ['/address', 0, '', ''],
    ['/own', 0, '', ''],
);

for my $case (@cases) {
    my ($uri, $cookie, $status, $name) = @$case;
    my $reply = get($uri, defined $cookie ? "Cookie: route=$cookie" : ());
    is(status($reply), "[$status]", "$uri: status in a header");
    is(header('X-Peer', $reply), "[$name]", "$uri: peer in a header");
}

get('/missing', 'Cookie: route=0');

eventually(sub { $t->read_file('sticky.log') =~ m!^/missing !m });
my %logged = map { (split / /, $_, 2)[0, 1] } split /\n/, $t->read_file('sticky.log');

for my $name (qw! /new /hit /miss /gone !) {
    is($logged{$name}, uc(substr $name, 1) . " $peer", "$name: logged");
}
is_deeply([@logged{qw! /hidden/none /strict/gone /plain /own /missing !}],
    ["NONE $peer", 'GONE -', '- -', '- -', "HIT $peer"],
    'logged: no cookie set, no peer left, not sticky, own page, error of the peer')
    or diag(explain(\%logged));
