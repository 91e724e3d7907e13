#!/usr/bin/perl

# Tests for sticky_status: its three forms, which paths and methods have them, and what they say of
# upstreams, servers and zones; without them an operator sees nothing, or somebody else sees a
# secret.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx qw/ reload_with /;
use Sticky::Pages;

use JSON::PP qw/ decode_json /;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite upstream_zone /)->plan(86);

$t->write_file_expand('backends.conf', backends());
my $secret = 'Kq7wZx2mRt9uLp4v';
# Bytes that are not UTF-8, a quote, and a tag.
my $hostile = "x<script>alert(1)</script>'\\\"\xff";
my $configuration = <<"EOC";

%%TEST_GLOBALS%%

daemon off;

worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    upstream shop {
        sticky mode=query name=sid zone=shop:1m state=%%TESTDIR%%/shop.state;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082 drain;
        server 127.0.0.1:8083 backup;
    }

    upstream route {
        zone route 64k;
        sticky name=route hmac=sha256 hmac_key=$secret "domain=\$host";
        server 127.0.0.1:8081;
        server 127.0.0.1:8082 down;
        server 127.0.0.1:8081;
    }

    upstream "$hostile" {
        sticky mode=query name=sid zone=shop;
        server 127.0.0.1:8081;
    }

    upstream named {
        sticky cookie srv;
        sticky_secret "$secret";
        sticky_strict on;
        server 127.0.0.1:8081 route=a;
    }

    # From 1.29.6 on, nginx carries that out itself.
    upstream own {
        sticky cookie own;
        server 127.0.0.1:8081;
    }

    upstream plain {
        server 127.0.0.1:8081;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location / {
            proxy_pass http://shop;
        }

        location /sticky {
            sticky_status;
        }

        location /slash/ {
            sticky_status;
        }

        location = /exact {
            sticky_status upstream=route;
        }

        location ~ ^/(a|b)/ops {
            sticky_status upstream=route upstream=shop;
        }

        location /part {
            sticky_status upstream=shop;
            limit_except GET {
                deny 192.0.2.1;
            }
            if (\$arg_x) {
                set \$seen 1;
            }
        }

        location /charset {
            charset koi8-r;
            charset_types *;
            sticky_status;
        }
    }
}

EOC
$t->write_file_expand('nginx.conf', $configuration);

$t->run();

my $home = served_by(get('/', 'X-Page' => link_to('one')));
get('/?sid=one') for 1 .. 3;

# The three forms.

my $page = get('/sticky');
is(code($page), 200, 'page');
is(header('Content-Type', $page), 'text/html; charset=utf-8', 'page, type');
my $json = get('/sticky/json');
is(code($json), 200, 'JSON');
is(header('Content-Type', $json), 'application/json', 'JSON, type');
my $metrics = get('/sticky/metrics');
is(code($metrics), 200, 'metrics');
is(header('Content-Type', $metrics), 'text/plain; version=0.0.4; charset=utf-8', 'metrics, type');
for ([page => $page], [JSON => $json], [metrics => $metrics]) {
    my ($name, $reply) = @$_;
    is(header('Cache-Control', $reply), 'no-store', "$name, kept nowhere");
    is(header('X-Content-Type-Options', $reply), 'nosniff', "$name, no other type");
    my $policy = header('Content-Security-Policy', $reply);
    like($policy, qr/^default-src 'none'; .*frame-ancestors 'self'$/, "$name, policy");
    unlike($policy, qr/unsafe|\*/, "$name, policy without exceptions");
    is(header('Content-Length', $reply), length http_content($reply), "$name, length");
}

# Paths.

my %expected = (
    '/sticky/' => 'html', '/sticky?a=b' => 'html', '/sticky/json?a=b' => 'json',
    '/sticky?drain=shop' => 'html',
    '/slash/' => 'html', '/slash/json' => 'json', '/slash/metrics' => 'plain',
    '/exact' => 'html', '/a/ops' => 'html', '/b/ops/json' => 'json', '/a/ops/metrics' => 'plain',
    '/part' => 'html', '/part/json?x=1' => 'json', '/part?x=1' => 'html',
    '/sticky/JSON' => 404, '/sticky/json/' => 404, '/sticky/xml' => 404, '/stickyjson' => 404,
    '/sticky//json' => 'json', '/sticky/%6ason' => 'json', '/sticky/../sticky/json' => 'json',
);
for my $uri (sort keys %expected) {
    my $reply = get($uri);
    my $found = code($reply) == 200 ? header('Content-Type', $reply) =~ s!^\w+/(\w+).*!$1!r : code($reply);
    is($found, $expected{$uri}, "$uri is $expected{$uri}");
}

my %links = map {
    my $uri = $_;
    ($uri => join ' ', get($uri) =~ /<a href="([^"]*(?:json|metrics))">/g);
} '/sticky', '/sticky/', '/a/ops';
is_deeply(\%links, {
    '/sticky' => './sticky/json ./sticky/metrics', '/sticky/' => './json ./metrics',
    '/a/ops' => './ops/json ./ops/metrics',
}, 'links lead to the other forms');

# Methods.

for my $form ('', '/json', '/metrics') {
    my $head = send_request('HEAD', "/sticky$form");
    like($head, qr/^HTTP\S+ 200 .*\x0d\x0a\x0d\x0a$/s, "HEAD /sticky$form");
}
my $refused = post('/sticky/json', 'a=b');
is(code($refused), 403, 'POST');
is_deeply(decode_json(http_content($refused)),
    { schema => 1, error => { status => 403, text => '"sticky_status" has no "rw" here' } },
    'POST, refused in JSON');
is(code(post('/sticky', 'x' x 300000, 'X-Sticky' => 1)), 403, 'a large POST');
is(code(post('/part', 'a=b')), 403, 'POST to a part of a location');
$refused = send_request('DELETE', '/sticky');
is(code($refused), 405, 'DELETE');
is(header('Allow', $refused), 'GET, HEAD', 'DELETE, what is allowed');
is(header('Cache-Control', $refused), 'no-store', 'DELETE, kept nowhere');

# What they say.

my $report = decode_json(http_content($json));
is($report->{schema}, 1, 'version of the schema');
my ($shop, $route, $odd, $named, $own) = @{ $report->{upstreams} };
is(scalar @{ $report->{upstreams} }, 5, 'each sticky upstream');
is($odd->{name}, "x<script>alert(1)</script>'\"\\xff", 'a name as it is');
like($shop->{directives}[0], qr/^sticky mode=query name=sid zone=shop:1m state=\S+;$/, 'its line');
my @states = map {
    my $server = $_;
    join ' ', $server->{name}, grep { $server->{$_} } qw/ backup down draining /;
} @{ $shop->{servers} };
my $address = sub { '127.0.0.1:' . port($_[0]) };
is_deeply(\@states, [$address->(8081), $address->(8082) . ' draining', $address->(8083) . ' backup'],
    'its servers');
is(scalar @{ $route->{servers} }, 2, 'an address that is listed twice is one server');
ok($route->{servers}[1]{down}, 'a server is down');
is($named->{servers}[0]{route}, 'a', 'route=');
is_deeply($named->{directives}, ['sticky cookie srv;', 'sticky_secret ***;', 'sticky_strict on;'],
    'all of its directives');
my $is_nginx = $t->has_version('1.29.6') ? 1 : 0;
is($own->{by_nginx} ? 1 : 0, $is_nginx, 'whether nginx itself serves it');
is($own->{servers}[0]{name}, $address->(8081), 'its server');
is($page =~ /by nginx itself, read-only/ ? 1 : 0, $is_nginx, 'the page says so');
is($metrics =~ /upstream="own"/ ? 0 : 1, $is_nginx, 'of such, there are no metrics');
is($route->{directives}[0], 'sticky name=route hmac=sha256 hmac_key=*** domain=$host;', 'no key');
unlike("$page$json$metrics", qr/\Q$secret/, 'no secret anywhere');
unlike($page, qr/<script>alert/, 'no script of a name');
is($report->{zones}[0]{name}, 'shop', 'the zone');

# The sweep counts once a second.

ok(eventually(sub {
    my $zone = decode_json(http_content(get('/sticky/json')))->{zones}[0];
    return ($zone->{sessions}{in_use} // 0) == 1 && $zone->{learned} == 1 && $zone->{state}{written};
}), 'sessions of the zone, and its file');

# What became of requests. Each counts when it is logged.

ok(eventually(sub {
    my $upstream = decode_json(http_content(get('/sticky/json')))->{upstreams}[0];
    return $upstream->{requests}{HIT} == 3 && $upstream->{requests}{NEW} == 1;
}), 'requests by outcome');
$report = decode_json(http_content(get('/sticky/json')));
my $upstream = $report->{upstreams}[0];
is("$upstream->{steered} $upstream->{balanced}", '3 1', 'steered and balanced');
is($upstream->{verdict}{text},
    '3 of 3 requests with a session id went to the server of the session: too few to judge.', 'verdict');
ok($upstream->{since} && $upstream->{since} <= $report->{time}, 'since when');
my $hits = join ' ', map { $_->{hits} } grep { $_->{hits} } @{ $upstream->{servers} };
is($hits, 3, 'at one server');
my $text = http_content(get('/sticky/metrics'));
like($text, qr/^nginx_sticky_requests_total\{upstream="shop",result="HIT"\} 3$/m, 'the same in metrics');
my $at = port(8080 + { A => 1, B => 2, C => 3 }->{$home});
like($text, qr/^nginx_sticky_server_hits_total\{upstream="shop",server="127.0.0.1:$at"\} 3$/m,
    'those of the server');

# A selection, and one of it.

my $of = sub { join ' ', map { $_->{name} } @{ decode_json(http_content(get($_[0])))->{upstreams} } };
is($of->('/a/ops/json'), 'shop route', 'those of upstream=, in the order of the configuration');
is($of->('/a/ops/json?upstream=route'), 'route', 'one that is asked for');
is(code(get('/a/ops/json?upstream=named')), 404, 'none that is not shown');
is(code(get('/sticky?upstream=plain')), 404, 'none that is not sticky');

# The body is ASCII and UTF-8, whatever the location says of charsets.

is(header('Content-Type', get('/charset')), 'text/html; charset=utf-8', 'charset');

# After a reload the page shows the new configuration, and the zone as it was.

ok(reload_with($t, $configuration =~ s/server 127.0.0.1:8083 backup;/server 127.0.0.1:8083;/r), 'reload');
$report = decode_json(http_content(get('/sticky/json')));
ok(!$report->{upstreams}[0]{servers}[2]{backup}, 'after a reload, the new configuration');
is($report->{zones}[0]{learned}, 1, 'after a reload, the same zone');

$t->stop();
