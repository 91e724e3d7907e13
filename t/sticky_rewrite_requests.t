#!/usr/bin/perl

# Tests for sticky mode=rewrite, where pages come from and go to: subrequests, nginx's cache, its
# own error pages, other servers after a failure, many requests on one connection; without it a page
# names the wrong server, or one that has not answered.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy cache rewrite ssi/)->plan(18);

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    proxy_cache_path   %%TESTDIR%%/cache  keys_zone=one:1m;

    upstream u {
        sticky mode=rewrite text=raw;
        server 127.0.0.1:8081 max_fails=0;
        server 127.0.0.1:8082 max_fails=0;
    }

    upstream keyed {
        sticky mode=rewrite name=r hmac=sha256 hmac_key=secret;
        keepalive 4;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream other {
        sticky mode=query;
        server 127.0.0.1:8083;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        location / {
            proxy_pass http://u;
        }

        location /keyed/ {
            proxy_pass http://keyed/;
        }

        location /cached/ {
            proxy_cache one;
            proxy_cache_key $uri;
            proxy_cache_valid any 1m;
            proxy_pass http://u/;
        }

        location /ssi/ {
            ssi on;
            proxy_pass http://u/;
        }

        location /part {
            proxy_pass http://u;
        }

        location /other/ {
            proxy_pass http://other/;
        }

        location /args {
            return 200 "args=$sticky_args;";
        }

        location /own-error {
            proxy_intercept_errors on;
            error_page 503 /error;
            proxy_pass http://u/503;
        }

        location /error {
            default_type text/html;
            return 200 '<a href="/x">';
        }
    }
}

EOC

$t->run();

my %port = (A => port(8081), B => port(8082));
my $link = '<a href="/x">';

# A value that nobody can make up.

my $reply = get('/keyed/', 'X-Page' => $link);
my ($value) = http_content($reply) =~ /\?r=([0-9a-f]{64})"/;
ok($value, 'keyed value');
ok(holds($reply, "/keyed/?r=$value"), 'who brings it comes back');
(my $forged = $value) =~ tr/0-9a-f/1-9a-f0/;
is(status(get("/keyed/?r=$forged")), 'MISS', 'a forged one is unknown');

# Parts of a page.

$reply = get('/ssi/?route=127.0.0.1:' . $port{B},
    'X-Page' => '<!--#include virtual="/part" --><a href="/x">', 'X-Part' => '<a href=/y>');
is(http_content($reply), "part of B: <a href=\"/y?route=127.0.0.1:$port{B}\">"
    . "<a href=\"/x?route=127.0.0.1:$port{B}\">", 'a part is steered and rewritten like its page');

# The cache holds what the server sent.

$reply = get('/cached/1', 'X-Page' => $link);
my $first = 'route=127.0.0.1:' . $port{ served_by($reply) };
is(http_content($reply), "<a href=\"/x?$first\">", 'a page on its way into the cache');
is(http_content(get('/cached/1')), $link, 'from the cache it comes as the server sent it');
is(http_content(get('/cached/1?route=127.0.0.1:' . $port{A})), $link, 'to everybody');

# nginx's own pages.

is(http_content(get('/own-error')), $link, 'a page of nginx itself stays');

# Another server answers.

$t->write_file('closed_A', '');
$reply = get('/?route=127.0.0.1:' . $port{A}, 'X-Page' => $link);
is(status($reply) . ' ' . http_content($reply), "GONE <a href=\"/x?route=127.0.0.1:$port{B}\">",
    'the page names the server that has answered');
unlink $t->testdir() . '/closed_A';

$t->write_file('failed_B', '');
$reply = get('/?route=127.0.0.1:' . $port{B}, 'X-Page' => $link);
is(status($reply) . ' ' . http_content($reply), "HIT <a href=\"/x?route=127.0.0.1:$port{B}\">",
    'an error page of the application is a page');
unlink $t->testdir() . '/failed_B';

# Other upstreams are left alone.

is(http_content(get('/other/', 'X-Page' => $link)), $link, 'another mode, no change');

# Many pages on one connection: buffers of one request are not another's.

my $socket = http('', start => 1);
my $good = 0;
for my $n (1 .. 50) {
    my $long = join '', map { "<a href=/$n/$_>" } 1 .. 100;
    $socket->print("GET / HTTP/1.1\x0d\x0aHost: localhost\x0d\x0aX-Page: $long\x0d\x0a\x0d\x0a");
    my $text = read_until($socket, qr/\x0d\x0a0\x0d\x0a\x0d\x0a$/) // last;
    my @found = $text =~ m!<a href="/$n/\d+\?route=127\.0\.0\.1:\d+">!g;
    $good++ if @found == 100;
}
is($good, 50, 'pages on one connection');

# The application's arguments.

for (
    ['', ''],
    ['?a=1&b', 'a=1&b'],
    ['?route=x', ''],
    ['?a=1&route=x&b=%20', 'a=1&b=%20'],
    ['?r=x&route=y&a=1', 'a=1'],
) {
    my ($query, $expected) = @$_;
    is(http_content(get("/args$query")), "args=$expected;", "\$sticky_args of '$query'");
}
like(get('/args?sid=1'), qr/args=sid=1;/, 'ids of other modes are the application\'s');
