#!/usr/bin/perl

# Tests for session ids in cookies and headers (from=cookie, from=header:NAME); without these an
# application that hands its id out in a page, and gets it back in a header, loses its sessions.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite auth_request/)->plan(28);

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('upstreams.conf', upstreams(
    cookie => 'sticky mode=query name=sid name=PHPSESSID from=cookie;',
    header => 'sticky mode=query from=header:X-Session-Id;',
    all => 'sticky mode=query from=header:X-First,cookie,path,query,header:X-Last;',
));
$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;
    include upstreams.conf;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        location /cookie/ {
            proxy_pass http://cookie/;
        }

        location /header/ {
            proxy_pass http://header/;
        }

        location /all/ {
            proxy_pass http://all/;
        }

        location /guarded/ {
            auth_request /auth;
            auth_request_set $guard $upstream_http_x_server;
            add_header X-Guard $guard;
            proxy_pass http://cookie/;
        }

        location = /auth {
            internal;
            proxy_pass http://cookie/;
        }
    }
}

EOC

$t->run();

# Cookies.

my $reply = get('/cookie/', 'X-Page' => '<a href="?sid=id%2C1">');
ok(holds($reply, '/cookie/', Cookie => 'sid=id%2C1'), 'cookie');
is(status(get('/cookie/', Cookie => 'sid=id%2C1')), 'HIT', 'status of its session');
ok(holds($reply, '/cookie/', Cookie => 'a=b; sid=id,1;c=d'), 'among others, not escaped');
ok(holds($reply, '/cookie/', Cookie => "a=b\x0d\x0aCookie: sid=id,1"), 'in a second header');
ok(holds($reply, '/cookie/', Cookie => 'sid=id,1; sid=id%2c1'), 'twice the same');
ok(holds($reply, '/cookie/', Cookie => 'PHPSESSID=unknown; sid=id,1'), 'of another name');
ok(holds($reply, '/cookie/', Cookie => 'sid=other; sid=id,1'), 'the live one of two');
ok(holds($reply, '/cookie/', Cookie => "sid=other\x0d\x0aCookie: sid=id,1"), 'in two headers');
ok(holds($reply, '/cookie/', Cookie => 'PHPSESSID=id,1; sid='), 'that has a value');
my %seen = map { /^X-Guard: (\w)/m => 1 }
    map { get('/guarded/', Cookie => 'sid=id,1') } 1 .. 4;
is(join('', keys %seen), served_by($reply), 'auth_request has the session of its request');
for (
    ['SID=id,1', 'another case'],
    ['xsid=id,1; sidx=id,1', 'other names'],
    ['sid', 'no value'],
) {
    my ($cookie, $what) = @$_;
    is(status(get('/cookie/', Cookie => $cookie)), 'NONE', "cookie: $what");
}
is(status(get('/cookie/?sid=id,1')), 'NONE', 'not in the query');

# A header.

$reply = get('/header/', 'X-Page' => '<a href="?sid=a%2Bb%3D%3D">');
ok(holds($reply, '/header/', 'X-Session-Id' => 'a+b=='), 'header, as it is');
ok(holds($reply, '/header/', 'x-SESSION-id' => ' a+b==  '), 'in any case, with spaces around');
ok(holds($reply, '/header/', 'X-Session-Id' => "a+b==\x0d\x0aX-Session-Id: a+b=="),
    'twice the same');
for (
    ['X-Session-Id' => "other\x0d\x0aX-Session-Id: a+b==", 'two ids', 'HIT'],
    ['X-Session-Id' => "other\x0d\x0aX-Session-Id: unknown", 'two unknown ids', 'MISS'],
    ['X-Session-Id' => '', 'nothing', 'NONE'],
    ['X-Session' => 'a+b==', 'another header', 'NONE'],
    ['X-Session-Id' => 'a%2Bb==', 'an escape', 'MISS'],
    ['X-Session-Id' => 'x' x 4097, 'more than 4,096 bytes', 'NONE'],
) {
    my ($name, $value, $what, $status) = @$_;
    is(status(get('/header/', $name => $value)), $status, "header: $what");
}

# The order. Of any two places with a live session, the earlier one decides.

for my $id (1 .. 5) {
    get('/all/', 'X-Page' => "<a href=';sid=$id'>");
}
my @places = (
    sub { ($_[0], 'X-First' => 1) },
    sub { ($_[0], Cookie => 'sid=2') },
    sub { ("$_[0];sid=3") },
    sub { ("$_[0]?sid=4") },
    sub { ($_[0], 'X-Last' => 5) },
);
my %homes = map { $_ + 1 => served_by(get($places[$_]->('/all/'))) } 0 .. 4;
is(scalar(grep { status(get($places[$_]->('/all/'))) eq 'HIT' } 0 .. 4), 5, 'an id for each place');
my @wrong;
for my $first (0 .. 3) {
    for my $second ($first + 1 .. 4) {
        # Both URLs into one.
        my ($uri, %headers) = $places[$second]->('/all/');
        my ($other, %others) = $places[$first]->('/all/');
        my ($path) = "$other$uri" =~ /(;sid=3)/;
        my ($query) = "$other$uri" =~ /(\?sid=4)/;
        my $both = join '', '/all/', grep { defined } $path, $query;
        my $home = $homes{ $first + 1 };
        push @wrong, "$first before $second" if where($both, %headers, %others) ne $home x 6;
    }
}
is_deeply(\@wrong, [], 'the first place decides');
is(where('/all/;sid=3', Cookie => 'sid=2; sid=3'), $homes{2} x 6, 'also when it has two ids');
is(where('/all/;sid=3', 'X-First' => 'unknown'), $homes{3} x 6, 'but not when its id is unknown');
is(status(get('/all/;sid=3', 'X-First' => '', Cookie => 'sid=')), 'HIT', 'empty values are none');
