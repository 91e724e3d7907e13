#!/usr/bin/perl

# Tests for subrequests (auth_request, SSI), internal redirects and two sticky upstreams in one
# request; without them the parts of a page come from servers that do not know the session.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite ssi auth_request/)->plan(24);

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    upstream u {
        sticky mode=query;
        server 127.0.0.1:8081 max_fails=0;
        server 127.0.0.1:8082 max_fails=0;
        server 127.0.0.1:8083 max_fails=0;
    }

    upstream v {
        sticky mode=query;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream plain {
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        location / {
            proxy_pass http://u;
        }

        location /v/ {
            proxy_pass http://v/;
        }

        location /guarded/ {
            auth_request /auth;
            auth_request_set $guard $upstream_http_x_server;
            add_header X-Guard $guard;
            add_header X-Status $sticky_status;
            proxy_pass http://u/;
        }

        location /guarded_file/ {
            auth_request /auth;
            auth_request_set $guard $upstream_http_x_server;
            add_header X-Guard $guard;
            add_header X-Status $sticky_status;
            alias %%TESTDIR%%/;
        }

        location = /auth {
            internal;
            proxy_pass http://u/;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
        }

        location /ssi/ {
            ssi on;
            proxy_pass http://u/;
        }

        location /ssi_plain/ {
            ssi on;
            proxy_pass http://plain/;
        }

        location /ssi_file/ {
            ssi on;
            alias %%TESTDIR%%/;
        }

        location /v_part {
            proxy_pass http://v/part;
        }

        location /missing/ {
            proxy_pass http://u/;
            proxy_intercept_errors on;
            error_page 404 = @v;
        }

        location @v {
            rewrite ^ /from_v break;
            proxy_pass http://v;
        }

        location /try/ {
            try_files /nothing @v;
        }

        location /accel/ {
            proxy_pass http://u/;
        }

        location /inner/ {
            internal;
            proxy_pass http://v/;
        }
    }
}

EOC

$t->write_file('index.html', 'file');
$t->write_file('part.html', 'part: <!--#include virtual="/part" -->');
$t->run();

# auth_request

my $home = served_by(get('/', 'X-Page' => link_to('guarded')));
for (1 .. 3) {
    my $reply = get('/guarded/?sid=guarded');
    is(guard($reply) . served_by($reply) . status($reply), "$home${home}HIT",
        "guard and page at the server of the session $_");
}
is(join('', map { guard(get('/guarded_file/index.html?sid=guarded')) } 1 .. 6), $home x 6,
    'guard of a file at the server of the session');

get('/guarded/', 'X-Page' => link_to('guard'), 'X-Link' => '</?sid=guardlink>; rel=next');
my $reply = get('/guarded_file/index.html', 'X-Page' => link_to('g1'), 'X-Link' => '</?sid=g2>');
like($reply, qr/file$/, 'file behind a guard');
is(join(' ', map { status(get("/?sid=$_")) } qw/ g1 g2 /), 'MISS MISS',
    'no id is learned from the answer to auth_request, which no client sees');
is(status(get('/?sid=guard')), 'HIT', 'one is learned from the page behind it');

# SSI: the parts of a page

my $include = 'page <!--#include virtual="/part" -->';
for (1 .. 3) {
    my $reply = get('/ssi/?sid=guarded', 'X-Page' => $include);
    is(served_by($reply) . part($reply), "$home$home", "page and part at one server $_");
}

$reply = get('/ssi_plain/', 'X-Page' => $include, 'X-Part' => link_to('part'));
is(where('/?sid=part'), part($reply) x 6, 'id in a part is learned for the server of the part');
isnt(status($reply), 'NEW', 'its page is not from a sticky upstream');

$reply = get('/ssi_file/part.html', 'X-Part' => link_to('in_file'));
like($reply, qr/part: .*part of [ABC].*in_file/s, 'file with a part');
is(where('/?sid=in_file'), part($reply) x 6, 'part of a file');

$reply = get('/ssi_plain/', 'X-Page' => $include, 'X-Part' => link_to('same')) for 1 .. 3;
$reply = get('/ssi/', 'X-Page' => 'page <!--#include virtual="/part?sid=same" -->');
is(part($reply), where('/?sid=same') =~ s/^(.)\1{5}$/$1/r, 'id in the arguments of a part');

# Two upstreams in one request

$reply = get('/ssi/', 'X-Page' => '<a href="?sid=page"> <!--#include virtual="/v_part" -->',
    'X-Part' => link_to('v_part'));
ok(holds($reply, '/?sid=page'), 'two upstreams: id of the page');
is(where('/v/?sid=v_part'), part($reply) x 6, 'two upstreams: id of the part');
is(status(get('/v/?sid=page')), 'MISS', 'two upstreams: of the page, not known to the part\'s');
is(status(get('/?sid=v_part')), 'MISS', 'two upstreams: and the other way round');

# Internal redirects to another sticky upstream

$reply = get('/missing/404', 'X-Page' => link_to('from_v'));
is(where('/v/?sid=from_v'), served_by($reply) x 6, 'error_page leads to another upstream');
is(status(get('/?sid=from_v')), 'MISS', 'which alone has learned');

$reply = get('/try/x', 'X-Page' => link_to('tried'));
is(where('/v/?sid=tried'), served_by($reply) x 6, 'try_files');

$reply = get('/accel/accel', 'X-Accel' => '/inner/', 'X-Page' => link_to('accel'));
is(where('/v/?sid=accel'), served_by($reply) x 6, 'X-Accel-Redirect to another upstream');
is(status(get('/?sid=accel')), 'MISS', 'which alone has learned');

sub guard { return $_[0] =~ /^X-Guard: (\w)/m ? $1 : 'none' }

sub part { return $_[0] =~ /part of (\w)/ ? $1 : 'none' }
