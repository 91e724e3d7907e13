#!/usr/bin/perl

# Tests for requests that name several servers, in cookies (mode=cookie) or in links and forms
# (mode=rewrite); without them a stale cookie of another path or domain ends the session of a client
# that has a good one, too.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(29);

my $servers = join "\n        ",
    map { "server 127.0.0.1:$_ max_fails=1 fail_timeout=1h;" } 8081 .. 8083;
$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;
worker_processes 1;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    upstream cookie {
        sticky hash=index;
        $servers
    }

    upstream transfer {
        sticky hash=index transfer delimiter=.;
        $servers
    }

    upstream rewrite {
        sticky mode=rewrite hash=index;
        $servers
    }

    upstream strict {
        sticky hash=index no_fallback;
        $servers
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  \$sticky_status  always;

        location ~ ^/(?<upstream>\\w+)/ {
            rewrite ^/\\w+(.*) \$1 break;
            proxy_pass http://\$upstream;
        }
    }
}

EOC

$t->run();

# A, B and C are 0, 1 and 2.

for (
    ['cookie', 'STALE; route=1', 'B HIT', 'behind a stale one'],
    ['cookie', "STALE\x0d\x0aCookie: route=1", 'B HIT', 'in a second header'],
    ['cookie', '1; route=STALE', 'B HIT', 'before a stale one'],
    ['cookie', '1; route=2', 'B HIT', 'two good ones'],
    ['cookie', 'S1; route=S2; route=S3; route=S4; route=S5; route=S6; route=S7; route=2', 'C HIT',
        'the eighth'],
    ['transfer', 'STALE.x; route=1.y', 'B HIT', 'transfer'],
    ['transfer', 'STALE.x; route=2', 'C HIT', 'transfer, without the part of the application'],
) {
    my ($upstream, $value, $wanted, $what) = @$_;
    my %seen = map { visit("/$upstream/", "Cookie: route=$value") => 1 } 1 .. 6;
    is(join(', ', keys %seen), $wanted, "$upstream: $what");
}
is(status(get('/cookie/', Cookie => 'route=S1; route=S2')), 'MISS', 'cookie: none is good');
is(status(get('/cookie/', Cookie => join '; ', map { "route=$_" } 11 .. 18, 1)), 'MISS',
    'cookie: the ninth is not looked at');

# The part of the application is that of the cookie which has named the server.

my ($line) = cookies(get('/transfer/', Cookie => 'route=STALE.x; route=1.y'));
is($line, 'route=1.y; Path=/', 'transfer: the part of the good cookie');
($line) = cookies(get('/transfer/', Cookie => 'route=2.x; route=1.y'));
is($line, 'route=2.x; Path=/', 'transfer: of the first of two');
($line) = cookies(get('/transfer/', Cookie => 'route=STALE.x; route=OTHER.y'));
like($line, qr/^route=\d\.x; Path=/, 'transfer: of the first, where none is good');

for (
    ['?route=STALE&route=1', 'B HIT', 'behind a stale one'],
    ['?a=b&route=1&route=STALE', 'B HIT', 'before a stale one'],
    ['?route=%31&route=2', 'B HIT', 'two good ones'],
    ['?route=STALE&route=S2', 'MISS', 'none is good'],
    ['?a=b', 'NEW', 'none'],
) {
    my ($query, $wanted, $what) = @$_;
    my %seen = map { visit("/rewrite/$query") => 1 } 1 .. 6;
    like(join(', ', keys %seen), qr/\b$wanted$/, "rewrite: $what");
}
my $posted = post('/rewrite/?route=STALE', 'route=2');
is(served_by($posted) . status($posted), 'CHIT', 'rewrite: in a form beside a stale one in the URL');
$posted = post('/rewrite/?route=1', 'route=2');
is(served_by($posted) . status($posted), 'BHIT', 'rewrite: the URL first');

# The first one that names a server which can be used.

$t->write_file('closed_B', '');
for my $upstream (qw/ cookie transfer rewrite strict /) {
    get("/$upstream/") for 1 .. 6;
}
for (
    ['/cookie/', 'C HIT', Cookie => 'route=1; route=2'],
    ['/cookie/', 'C HIT', Cookie => 'route=STALE; route=1; route=2'],
    ['/transfer/', 'C HIT', Cookie => 'route=1.x; route=2.y'],
    ['/rewrite/?route=1&route=2', 'C HIT'],
    ['/strict/', 'C HIT', Cookie => 'route=1; route=2'],
    ['/strict/', '502 GONE', Cookie => 'route=1; route=STALE'],
) {
    my ($uri, $wanted, @headers) = @$_;
    is(visit($uri, @headers), $wanted, "@{[ $uri, @headers ]}: B has failed");
}
my $seen = visit('/cookie/', Cookie => 'route=STALE; route=1');
like($seen, qr/^[AC] GONE$/, 'the only server that is known has failed');
$posted = post('/rewrite/?route=1', 'route=2');
is(served_by($posted) . status($posted), 'CHIT', 'rewrite: in the form');
($line) = cookies(get('/transfer/', Cookie => 'route=1.x; route=2.y'));
is($line, 'route=2.y; Path=/', 'transfer: the part of the cookie that decides');
($line) = cookies(get('/transfer/', Cookie => 'route=1.x'));
like($line, qr/^route=[02]\.x; Path=/, 'transfer: of the only one');
