#!/usr/bin/perl

# Tests that nginx with the module loaded and no `sticky` in its configuration behaves as without
# it, and that upstreams that are not sticky do beside one that is; without them, loading the
# module might cost those who do not use it.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite upstream_keepalive upstream_least_conn/)
    ->plan(13);

$t->write_file_expand('backends.conf', backends());

my $conf = <<'EOC';

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    upstream u {
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
        keepalive 2;
    }

    upstream least {
        least_conn;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;
        sticky_no_fallback;

        location / {
            proxy_pass http://u;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }

        location /least/ {
            proxy_pass http://least/;
        }

        location /address/ {
            proxy_pass http://127.0.0.1:8081/;
        }
    }
}

EOC

$t->write_file_expand('nginx.conf', $conf);
$t->run();

for my $with (0, 1) {
    my $what = $with ? 'beside a sticky upstream' : 'module idle';

    if ($with) {
        my $sticky = 'upstream s { sticky mode=query; server 127.0.0.1:8081; }';
        ok(reload_with($t, $conf =~ s/(?=upstream u)/$sticky\n    /r), 'one upstream is sticky');
    }

    my $reply = get('/', 'X-Page' => link_to('page'), 'X-Link' => '</?sid=link>; rel=next');
    is(http_content($reply), link_to('page'), "$what: page passed on");
    unlike($reply, qr/^X-Status/m, "$what: no status");
    like(where('/?sid=page'), qr/^(ABC|BCA|CAB){2}$/, "$what: no session");
    like(where('/?sid=link'), qr/^(ABC|BCA|CAB){2}$/, "$what: no session from a header");
    is(join('', sort split //, where('/least/?sid=page')), 'AABBCC',
        "$what: no session, least_conn");
    is(where('/address/?sid=page'), 'AAAAAA', "$what: address in proxy_pass");
}
