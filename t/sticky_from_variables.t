#!/usr/bin/perl

# Tests for ids in tokens, in parameters of headers and in variables (from=bearer,
# header:NAME:PARAMETER, $variable; learn= the same); without these, clients that sign in with a
# token or by Digest lose their sessions, and so do those whose id only a map or a capture knows.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite map/)->plan(32);

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('upstreams.conf', upstreams(
    bearer => 'sticky mode=query from=bearer;',
    digest => 'sticky mode=query from=header:Authorization:nonce,header:X-List:sid'
        . ' learn=header:Link:nonce,html;',
    variables => 'sticky mode=query from=$tenant,$captured,$http_x_a:$http_x_b'
        . ' id_delimiter=! learn=html;',
    learning => 'sticky mode=query learn=$handed_out,$upstream_http_refresh;',
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

    map $http_x_tenant $tenant {
        default          "";
        "~^tenant-(.+)"  $1;
    }

    # Nothing of it is there when the request is read.
    map $upstream_http_content_location $handed_out {
        "~^/at/(.+)"  $1;
        default       "";
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        location /bearer/ {
            proxy_pass http://bearer/;
        }

        location /digest/ {
            proxy_pass http://digest/;
        }

        location ~ ^/variables/(?:k/(?<captured>[^/]*)/)? {
            rewrite ^ / break;
            proxy_pass http://variables;
        }

        location /learning/ {
            # It is asked for before the server has answered, too.
            proxy_set_header X-Before $handed_out;
            proxy_set_header X-Script $upstream_http_refresh;
            proxy_pass http://learning/;
        }

        location /again/ {
            error_page 404 = /learning/;
            proxy_intercept_errors on;
            proxy_set_header X-Before $handed_out;
            proxy_pass http://learning/404/;
        }
    }
}

EOC

$t->run();

# Tokens.

my $reply = get('/bearer/', 'X-Page' => '<a href="?sid=t.1">');
for (
    ['Bearer t.1',      'HIT',  'a token'],
    ['bearer  t.1 ',    'HIT',  'in any case, with spaces'],
    ['Bearer t.2',      'MISS', 'another one'],
    ['Basic t.1',       'NONE', 'another scheme'],
    ['t.1',             'NONE', 'no scheme'],
    ['Bearer ',         'NONE', 'no token'],
) {
    my ($value, $expected, $what) = @$_;
    is(status(get('/bearer/', Authorization => $value)), $expected, "bearer: $what");
}
ok(holds($reply, '/bearer/', Authorization => 'Bearer t.1'), 'and it goes to its server');
ok(holds($reply, '/bearer/', Authorization => "Bearer no\x0d\x0aAuthorization: Bearer t.1")
    || code(get('/bearer/', Authorization => "Bearer no\x0d\x0aAuthorization: Bearer t.1")) eq '400',
    'the live one of two, where nginx takes two');

# Parameters, as of Digest.

$reply = get('/digest/', 'X-Link' => 'Digest realm="r, nonce=x", nonce="n\"1", qop="auth"');
for (
    ['Digest username="u", nonce="n\"1", uri="/"',  'HIT',  'a parameter'],
    ['digest NONCE = "n\"1"',                       'HIT',  'in any case, with spaces'],
    ['Digest nonce="n\\\\1"',                       'MISS', 'another one'],
    ['Digest nonce=""',                             'NONE', 'an empty one'],
    ['Digest cnonce="n\"1"',                        'NONE', 'of another name'],
    ['Digest opaque="nonce=1"',                     'NONE', 'in the value of another'],
    ['Digest nonce=x',                              'MISS', 'what was in the value of another'],
) {
    my ($value, $expected, $what) = @$_;
    is(status(get('/digest/', Authorization => $value)), $expected, "parameter: $what");
}
ok(holds($reply, '/digest/', Authorization => 'Digest nonce="n\"1"'), 'and it goes to its server');
is(status(get('/digest/', 'X-Link' => 'nonce=1, nonce=2; nonce=3')), 'NEW', 'several in one header');
is(join(' ', map { status(get('/digest/', Authorization => "Digest nonce=$_")) } 1 .. 3),
    'HIT HIT HIT', 'all are learned');
get('/digest/', 'X-Page' => '<a href="?sid=list">');
is(status(get('/digest/', 'X-List' => "a=b\x0d\x0aX-List: c; sid=list")), 'HIT',
    'in a second header');

# Variables.

$reply = get('/variables/', 'X-Page' => '<a href="?sid=v1">');
ok(holds($reply, '/variables/', 'X-Tenant' => 'tenant-v1'), 'a map');
ok(holds($reply, '/variables/k/v1/'), 'a named capture');
is(status(get('/variables/', 'X-Tenant' => 'v1')), 'MISS', 'a map that says nothing, another value');
ok(holds($reply, '/variables/k/v1/', 'X-Tenant' => 'tenant-unknown'), 'the live one of two');
ok(holds($reply, '/variables/', 'X-Tenant' => 'tenant-v1!node'), 'up to the delimiter');
$reply = get('/variables/', 'X-Page' => '<a href="?sid=a%3Ab">');
ok(holds($reply, '/variables/', 'X-A' => 'a', 'X-B' => 'b'), 'a text with two of them');
is(status(get('/variables/', 'X-A' => 'a%3Ab')), 'MISS', 'nothing is decoded');

# Variables of the response.

$reply = get('/learning/', 'X-Content-Location' => '/at/l1');
is(status($reply), 'NEW', 'a map of a header of the response');
ok(holds($reply, '/learning/?sid=l1'), 'is learned as it is when the header has come');
$reply = get('/learning/', 'X-Refresh' => 'l2', 'X-Content-Location' => 'elsewhere');
ok(holds($reply, '/learning/?sid=l2'), 'a header of the response');
is(status(get('/learning/')), 'NONE', 'no value');
is(status(get('/learning/', 'X-Refresh' => 'x' x 5000)), 'NONE', 'one that is too long');

# After an internal redirect, it is the other response that counts.

my %by;
for my $n (1 .. 6) {
    my $id = "again$n";
    my $answer = get('/again/', 'X-Content-Location' => "/at/$id");
    my $next = get("/learning/?sid=$id");
    $by{ served_by($next) eq served_by($answer) ? status($next) : 'elsewhere' }++;
}
is_deeply(\%by, { HIT => 6 }, 'a map that was asked for before, after an internal redirect');

