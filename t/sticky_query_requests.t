#!/usr/bin/perl

# Tests for promise 2, requests create nothing: only a response of a real peer makes a session, and
# none of 5xx, error pages, the cache and files; without it anybody fills the table, and an id that
# a client has made up sticks.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite cache/)->plan(27);

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    proxy_cache_path  %%TESTDIR%%/cache  levels=1  keys_zone=cache:1m;

    upstream u {
        sticky mode=query;
        server 127.0.0.1:8081 max_fails=0;
        server 127.0.0.1:8082 max_fails=0;
    }

    # Sees what u has put into the cache.
    upstream v {
        sticky mode=query;
        server 127.0.0.1:8081 max_fails=0;
        server 127.0.0.1:8082 max_fails=0;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status          always;
        add_header   X-Cache   $upstream_cache_status  always;

        location / {
            proxy_pass http://u;
        }

        location /intercept/ {
            proxy_pass http://u/;
            proxy_intercept_errors on;
            error_page 404 500 /error.html;
        }

        location /fallback/ {
            proxy_pass http://u/;
            proxy_intercept_errors on;
            error_page 404 = @other;
        }

        location @other {
            rewrite ^ /other break;
            proxy_pass http://u;
        }

        location = /error.html {
        }

        location /files/ {
            internal;
            alias %%TESTDIR%%/;
        }

        location /u/ {
            proxy_pass http://u/;
            proxy_cache_valid 200 302 1h;
            proxy_cache cache;
            proxy_cache_key $arg_page;
        }

        location /v/ {
            proxy_pass http://v/;
            proxy_cache_valid 200 302 1h;
            proxy_cache cache;
            proxy_cache_key $arg_page;
        }

        location /u_brief/ {
            proxy_pass http://u/;
            proxy_cache_valid 200 1s;
            proxy_cache_use_stale error http_500 updating;
            proxy_cache cache;
            proxy_cache_key $arg_page;
        }

        location /v_brief/ {
            proxy_pass http://v/;
            proxy_cache_valid 200 1s;
            proxy_cache_use_stale error http_500 updating;
            proxy_cache cache;
            proxy_cache_key $arg_page;
        }

        location /v_update/ {
            proxy_pass http://v/;
            proxy_cache_valid 200 1s;
            proxy_cache_use_stale updating;
            proxy_cache_background_update on;
            proxy_cache cache;
            proxy_cache_key $arg_page;
        }
    }
}

EOC

$t->write_file('error.html', link_to('error'));
$t->write_file('file.html', link_to('file'));
$t->run();

# Requests.

is(join(' ', map { status(get('/?sid=unknown')) } 1 .. 4), 'MISS MISS MISS MISS',
    'an unknown id stays unknown');
ok(spread('/?sid=unknown'), 'and its requests are balanced');
is(join(' ', map { status(post('/', 'sid=unknown')) } 1 .. 3), 'MISS MISS MISS',
    'an unknown id in a form stays unknown');
get('/?sid=one', 'X-Page' => link_to('two'));
is(status(get('/?sid=one')), 'MISS', 'nor does it become known by a response with another id');
is(status(get('/?sid=two')), 'HIT', 'which is learned');

# Responses that are not a peer's, or not a good one.

get('/500', 'X-Page' => link_to('500'));
is(status(get('/?sid=500')), 'MISS', 'no id is learned from a 500');
get('/503', 'X-Page' => link_to('503'), 'X-Link' => '</?sid=503>; rel=next');
is(status(get('/?sid=503')), 'MISS', 'nor from a 503, neither from its page nor from its header');
my $reply = get('/404', 'X-Page' => link_to('404'));
ok(holds($reply, '/?sid=404'), 'an id is learned from a 404 of the application');

$reply = get('/intercept/404', 'X-Page' => link_to('swallowed'));
like($reply, qr/sid=error/, 'error page');
is(status(get('/?sid=error')), 'MISS', 'no id is learned from an error page');
is(status(get('/?sid=swallowed')), 'MISS', 'nor from the page that it replaces');

$reply = get('/fallback/404', 'X-Page' => link_to('fallback'));
ok(holds($reply, '/?sid=fallback'), 'an id is learned from the server to which error_page leads');

$reply = get('/accel', 'X-Accel' => '/files/file.html', 'X-Page' => link_to('accel'));
like($reply, qr/sid=file/, 'X-Accel-Redirect');
is(status(get('/?sid=file')), 'MISS', 'no id is learned from a file');
is(status(get('/?sid=accel')), 'MISS', 'nor from the page that it replaces');

like(get('/error.html'), qr/sid=error/, 'file');
is(status(get('/?sid=error')), 'MISS', 'no id is learned from a file without a redirect either');

# The cache.

$reply = get('/u/?page=1', 'X-Page' => link_to('cached'));
ok(holds($reply, '/?sid=cached'), 'an id is learned from the response that goes into the cache');
$reply = get('/v/?page=1');
is(cached($reply), 'HIT with id', 'response from the cache');
is(status(get('/v/?page=2&sid=cached')), 'MISS', 'no id is learned from a response of the cache');

get('/u/302?page=3', 'X-Location' => '/?sid=location');
like(get('/v/302?page=3'), qr/^X-Cache: HIT.*sid=location|sid=location.*^X-Cache: HIT/ms,
    'redirect from the cache');
is(status(get('/v/?page=4&sid=location')), 'MISS', 'nor from a redirect of the cache');

get('/u_brief/?page=5', 'X-Page' => link_to('stale'));
get('/u_brief/?page=6', 'X-Page' => link_to('updated'));
select undef, undef, undef, 2.1;
$t->write_file("failed_$_", '') for qw/ A B /;
$reply = get('/v_brief/?page=5');
is(cached($reply), 'STALE with id', 'stale response');
unlink $t->testdir() . "/failed_$_" for qw/ A B /;
is(status(get('/v/?page=7&sid=stale')), 'MISS', 'nor from a stale response');

$reply = get('/v_update/?page=6', 'X-Page' => link_to('background'));
is(cached($reply), 'STALE with id', 'response that is updated in the background');
ok(eventually(sub { get('/v_update/?page=6') =~ /sid=background/ }), 'updated');
is(join(' ', map { status(get("/v/?page=8$_&sid=$_")) } qw/ updated background /), 'MISS MISS',
    'nor from the update, which no client sees');

sub spread { return join('', sort split //, where($_[0])) eq 'AAABBB' }

sub cached {
    my ($reply) = @_;
    my ($status) = $reply =~ /^X-Cache: (\w+)/m;
    return ($status // 'none') . (http_content($reply) =~ /\?sid=/ ? ' with id' : '');
}
