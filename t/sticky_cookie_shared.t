#!/usr/bin/perl

# Tests for responses that shared caches may keep: with the cookie of one client in them, a cache
# would send all clients to one server. And for $sticky_cookies, the cookies without that one.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/ http proxy /)->plan(33);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    upstream u {
        sticky hash=index;
        server 127.0.0.1:8081;
    }

    upstream cacheable {
        sticky hash=index cacheable=on;
        server 127.0.0.1:8081;
    }

    upstream transferred {
        sticky name=app hash=index transfer delimiter=.;
        server 127.0.0.1:8081;
    }

    upstream nginx_form {
        sticky cookie srv_id;
        server 127.0.0.1:8081;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status   always;
        add_header   X-Seen    $sticky_cookies  always;

        location /u/ {
            proxy_pass http://u/;
        }
        location /hidden/ {
            proxy_hide_header Cache-Control;
            proxy_pass http://u/;
        }
        location /added/ {
            add_header Cache-Control public;
            add_header X-Status $sticky_status;
            proxy_pass http://u/;
        }
        location /cacheable/ {
            proxy_pass http://cacheable/;
        }
        location /transferred/ {
            proxy_pass http://transferred/;
        }
        location /nginx/ {
            proxy_pass http://nginx_form/;
        }
        location /sent/ {
            proxy_set_header Cookie $sticky_cookies;
            proxy_pass http://127.0.0.1:8082/;
        }
    }

    server {
        listen 127.0.0.1:8082;
        add_header X-Cookie "[$http_cookie]" always;
        return 200;
    }
}

EOC

$t->run_daemon(\&scripted, port(8081), 'A', $t->testdir());
$t->waitforsocket('127.0.0.1:' . port(8081));
$t->run();

# Whether a response with these headers gets our cookie, and the status.
sub set {
    my ($where, @headers) = @_;
    my $reply = get("/$where/", 'X-Script' => script(join("\r\n", @headers, '', '')));
    return join ' ', (map { /^((?:route|app|srv_id)=[^;]*)/ } cookies($reply)), status($reply);
}

for (
    ['public',                        0, 'public'],
    ['max-age=60, Public',            0, 'in any case'],
    ['s-maxage=60',                   0, 's-maxage'],
    ['max-age=60,s-maxage="60"',      0, 'in quotes'],
    ['max-age=60',                    1, 'neither'],
    ['x="a,public"',                  1, 'in the value of something else'],
    ['publicly, xs-maxage=1',         1, 'another word'],
    ['public, private',               1, 'private'],
    ['public, no-store',              1, 'no-store'],
    ['no-cache, s-maxage=1',          1, 'no-cache'],
    ['public, private="Set-Cookie"',  1, 'private for a header'],
) {
    my ($value, $is_set, $what) = @$_;
    is(set('u', "Cache-Control: $value"), $is_set ? 'route=0 NEW' : 'NONE', "Cache-Control: $what");
}
is(set('u'), 'route=0 NEW', 'no Cache-Control');
is(set('u', 'Cache-Control: max-age=60', 'Cache-Control: public'), 'NONE', 'in a second header');
is(set('u', 'Cache-Control: public', 'Cache-Control: private'), 'route=0 NEW', 'not by that one');
is(set('hidden', 'Cache-Control: public'), 'route=0 NEW', 'a header that nobody gets');
is(set('added'), 'NONE', 'a header that nginx adds');
is(set('u', 'Cache-Control: public', 'Set-Cookie: a=b'), 'route=0 NEW',
    'the application sets a cookie itself');
is(set('u', 'Cache-Control: public', 'Set-Cookie: route=b'), 'route=0 NEW', 'also of that name');
is(set('cacheable', 'Cache-Control: public'), 'route=0 NEW', 'cacheable=on');
like(set('nginx', 'Cache-Control: public'), qr/^srv_id=\w{32} /, 'nginx\'s own form goes on as nginx');
my $reply = get('/u/', Cookie => 'route=0', 'X-Script' => script("Cache-Control: public\r\n\r\n"));
is(join(' ', status($reply), cookies($reply)), 'HIT', 'nor does one get it again');

# The cookies of the application.

for (
    [['a=1; route=0; b=2'],           'a=1; b=2',    'one of several'],
    [['route=0'],                     '',            'nothing else'],
    [['a=1;b=2'],                     'a=1;b=2',     'not among them: as it is'],
    [['route=0; a=1', 'b=2; route=1'], 'a=1; b=2',   'several headers'],
    [['a=1', 'b=2'],                  'a=1; b=2',    'of which it is in none'],
    [['xroute=1; router=2; route'],   'xroute=1; router=2; route', 'names that are others'],
    [['srv_id=1; a=1'],               'a=1',         'that of the form of nginx'],
    [['app=0.x; a=1'],                'app=0.x; a=1', 'not that which has both values'],
    [[],                              '',            'no cookie'],
) {
    my ($cookies, $expected, $what) = @$_;
    my $sent = get('/sent/', map { "Cookie: $_" } @$cookies);
    is(header('X-Cookie', $sent), "[$expected]", "sent to the server: $what");
}
is(header('X-Seen', get('/u/', Cookie => 'a=1; route=0')), 'a=1', 'read elsewhere');
is(header('X-Seen', get('/u/')), '', 'and empty');
is(set('transferred', 'Cache-Control: public', 'Set-Cookie: app=x'), 'app=0.x NEW', 'transfer');
