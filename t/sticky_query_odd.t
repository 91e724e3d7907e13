#!/usr/bin/perl

# Tests for promise 7, when in doubt, balance: ids, queries, forms and pages that are odd are
# answered as without the module; without it, one such request fails or stops a worker.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(31);

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
        sticky mode=query no_fallback;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        client_max_body_size     8m;
        client_body_buffer_size  4m;

        location / {
            proxy_pass http://u;
        }
    }
}

EOC

$t->run();

# The longest id, and one byte more.

my ($longest, $longer) = ('i' x 4096, 'j' x 4097);
my $reply = get('/', 'X-Page' => link_to($longest));
ok(holds($reply, "/?sid=$longest"), 'id of 4,096 bytes');
get('/', 'X-Page' => link_to($longer));
balanced('id of 4,097 bytes', 'NONE', sub { get("/?sid=$longer") });
$reply = get('/', 'X-Page' => link_to('%41' x 2000 . 'A' x 500));
ok(holds($reply, '/?sid=' . 'A' x 2500), 'id of 2,500 decoded bytes');
balanced('id of 6000 bytes', 'NONE', sub { get('/?sid=' . 'k' x 6000) });

# A longer one is said once, in each of the four workers at most.

my $lines = () = $t->read_file('error.log') =~ /sticky: .*more than 4096 bytes/g;
ok($lines >= 1 && $lines <= 4, 'long ids are in the log') or diag("$lines lines");

# Values that are none, or no text.

balanced('empty id', 'NONE', sub { get('/?sid=') });
balanced('name without a value', 'NONE', sub { get('/?sid') });
get('/', 'X-Page' => '<a href="?sid="><a href="?sid"><input name=sid><input name=sid value="">');
balanced('empty id that was handed out', 'NONE', sub { get('/?sid=') });
balanced('NUL', 'MISS', sub { get('/?sid=%00') });
balanced('bad percent', 'MISS', sub { get('/?sid=%zz%') });
balanced('bytes beyond ASCII', 'MISS', sub { get("/?sid=\xff\xfe%ff") });
balanced('query of separators', 'NONE', sub { get('/?&&;;==&=;&') });
balanced('a thousand arguments', 'NONE', sub { get('/?' . 'a=b&' x 1000) });
balanced('a thousand times the name', 'NONE', sub { get('/?' . 'sid=&' x 1000) });

# Odd as they are, they are ids like others once they have been handed out.

for (['a%00b', 'NUL'], ['%zz%', 'bad percent'], ['%ff%fe', 'bytes beyond ASCII']) {
    my ($id, $what) = @$_;
    my $reply = get('/', 'X-Page' => link_to($id));
    ok(holds($reply, "/?sid=$id"), "$what in an id that was handed out");
}

# Forms.

get('/', 'X-Page' => link_to('form'));
balanced('form of a megabyte in memory, id at its end', 'NONE',
    sub { post('/', 'x' x 1_000_000 . '&sid=form') });
balanced('form of NULs', 'NONE', sub { post('/', "\0" x 1000) });
balanced('form with an id of 4,097 bytes', 'NONE', sub { post('/', "sid=$longer") });
balanced('form that is no form', 'MISS', sub { post('/', 'sid=<html>%%%;&&===') });

# Pages and headers.

for (
    ['<a href="?sid=' . 'x' x 6000,         'tag that does not end'],
    ['<<<<>>>><a<a href=?sid="><input sid', 'heap of brackets'],
    ["\0\0?sid=\0\0<a href='?sid=\0'>",     'NULs'],
    ['sid=' x 1500,                         'the name, over and over'],
    ['?sid=' x 1200 . '>',                  'empty ids, over and over'],
    ['<a href="' . '&amp;' x 1200 . 'sid=odd">', 'references, over and over'],
) {
    my ($page, $what) = @$_;
    $page =~ tr/\0/\x01/;
    my $reply = get('/', 'X-Page' => $page);
    like($reply, qr/ 200 .*\Q$page\E\z/s, "page: $what");
}

for (
    ['X-Location', 'http://[::1/?sid=odd', 'Location, no host'],
    ['X-Link', '<<<>>>,,,<?sid=' . 'x' x 600, 'Link, no links'],
    ['X-Refresh', ';;;url=', 'Refresh, no URL'],
) {
    my ($header, $value, $what) = @$_;
    like(get('/302', 'X-Location' => '/', $header => $value), qr/ 302 .*\Q$value\E\x0d/s,
        "header: $what");
}

ok(holds($reply, '/?sid=' . 'A' x 2500), 'and everything still works');

sub balanced {
    my ($what, $status, $request) = @_;
    my (%backends, %statuses);
    for (1 .. 2) {
        my $reply = $request->();
        $backends{ served_by($reply) } = 1;
        $statuses{ status($reply) } = 1;
    }

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is(join(' ', sort(keys %backends), sort keys %statuses), "A B $status", "$what: balanced");
}
