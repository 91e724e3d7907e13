#!/usr/bin/perl

# Tests for session ids in multipart forms (from=form), and in forms that nginx has in part; without
# these the session of an application that keeps its id in a hidden input is lost with an upload.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Bodies;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(52);

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
        sticky mode=query from=form;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        client_body_buffer_size  4k;
        client_max_body_size     8m;

        location / {
            proxy_pass http://u;
        }

        location /large/ {
            client_body_buffer_size 1m;
            proxy_pass http://u/;
        }

        location /in_file/ {
            client_body_in_file_only clean;
            proxy_pass http://u/;
        }

        location /unbuffered/ {
            proxy_request_buffering off;
            proxy_http_version 1.1;
            proxy_pass http://u/;
        }
    }
}

EOC

$t->run();

my $type = 'multipart/form-data; boundary=----WebKitFormBoundaryx7';
my $line = "------WebKitFormBoundaryx7\r\n";
my $last = "------WebKitFormBoundaryx7--\r\n";
my $id = field('sid', 'form id/1');
my $file = part('Content-Disposition: form-data; name="file"; filename="a b.txt"' . "\r\n"
    . 'Content-Type: text/plain', "\0\xff--\r\n--\r\n");

my $reply = get('/', 'X-Page' => '<form method="post" enctype="multipart/form-data">'
    . '<input type="hidden" name="sid" value="form id/1"><input type="file" name="file"></form>');
my $home = served_by($reply);

is(posts($id . $file . $last), "$home HIT", 'hidden input, then a file');
is(posts($file . $id . $last), "$home HIT", 'a file, then the hidden input');
is(posts(field('a', 'b') . $id . field('sid', 'form id/1') . $last), "$home HIT", 'twice the same');
is(posts(part('content-disposition:FORM-DATA;name=sid', 'form id/1') . $last), "$home HIT",
    'no quotes, another case');
is(posts(part("X: y\r\nContent-Disposition: form-data;\r\n name=\"s\\id\"\r\nZ:", 'form id/1') . $last),
    "$home HIT", 'other headers, a folded one, escapes');
is(posts("preamble\r\n$id${last}epilogue"), "$home HIT", 'text before and behind');
is(posts($id . $last, 'Multipart/Form-Data; charset=utf-8; Boundary="----WebKitFormBoundaryx7"'),
    "$home HIT", 'boundary in quotes');

for (
    [part('Content-Disposition: form-data; name="sid"; filename="a"', 'form id/1') . $last, 'a file'],
    [part('Content-Disposition: form-data; name="x"; filename="\"; name=\"sid"', 'form id/1') . $last,
        'a name in the name of a file'],
    [field('file', "\n--x\n" . $id =~ s/WebKit/Other/gr) . $last, 'a form in a field'],
    [field('sid', '') . $last, 'an empty value'],
    [field('SID', 'form id/1') . $last, 'another case'],
    [$id =~ s/\r\n$//r, 'a body that ends before the next boundary'],
    ["$last$id$last", 'what follows the end'],
    [($id . $last) =~ s/\r\n/\n/gr, 'lines without CR'],
    ['', 'an empty body'],
) {
    my ($body, $what) = @$_;
    is(status(send_form($body)), 'NONE', "none in $what");
}
is(status(send_form($id . $last, 'multipart/form-data')), 'NONE', 'none without a boundary');
is(status(send_form($id . $last, 'multipart/form-data; boundary=other')), 'NONE',
    'nor with another one');
is(status(send_form($id . $last, 'multipart/mixed; boundary=----WebKitFormBoundaryx7')), 'NONE',
    'nor in another type');
is(status(send_form(field('sid', 'form+id%2f1') . $last)), 'MISS', 'nothing is decoded');

is(posts(field('sid', 'other') . $id . $last), "$home HIT", 'the live one of two ids');

# Pieces, cut in the middle of boundaries and headers.

my $form = $file . $id . $last;
for my $cuts ([3], [length($file) + 20, 4], [length($file) - 2, 4, 30], [1, 1, 1, 1, 1]) {
    is(in_pieces('/', $type, $form, @$cuts), "$home HIT",
        "in pieces of @$cuts bytes, and the rest");
}

# Wherever nginx keeps it, and no more than 64 KB.

my $filler = 'x' x 1000;
is(status(send_form(field('a', $filler x 70) . $id . $last, $type, '/large/')), 'NONE',
    'none behind 64 KB');
is(posts($id . field('a', $filler x 70) . $last, $type, '/large/'), "$home HIT",
    'before, it is found');
my $room = 65536 - length $line . $id;
is(status(send_form(field('a', 'x' x $room) . $id . $last, $type, '/large/')), 'NONE',
    'none in a field that is cut at 64 KB');
is(posts($id . field('a', $filler x 12) . $last), "$home HIT", 'in a file, in front');
is(posts(field('a', $filler x 12) . $id . $last), "$home HIT", 'in a file, further back');
is(posts($id . field('a', $filler x 500) . $last), "$home HIT", 'in a file of 500 KB');
is(posts($id . $last, $type, '/in_file/'), "$home HIT", 'in one that nginx always makes');
is(posts($id . field('a', $filler x 500) . $last, $type, '/in_file/'), "$home HIT",
    'in one of these of 500 KB');
is(summary(map { chunked('/', $type, 3000, $id . field('a', $filler x 12) . $last) } 1 .. 4),
    "$home HIT", 'in chunks, in a file');
is(summary(map { chunked('/large/', $type, 30, $id . field('a', $filler x 2) . $last) } 1 .. 4),
    "$home HIT", 'in chunks, in memory');
is(status(send_form($id . field('a', $filler x 12) . $last, 'application/octet-stream')), 'NONE',
    'not in a file of another type');

# The same for an urlencoded form.

my $urlencoded = 'application/x-www-form-urlencoded';
is(posts('sid=form+id/1&a=' . $filler x 70, $urlencoded, '/large/'), "$home HIT",
    'urlencoded: before 64 KB');
is(status(send_form('a=' . 'x' x (65536 - 12) . '&sid=form+id/1', $urlencoded, '/large/')), 'NONE',
    'none in a pair that is cut there');

is(posts('sid=form+id/1&a=' . $filler x 12, $urlencoded), "$home HIT", 'urlencoded: in a file');

# What ends the id ends with the 65,536th byte, or one behind it.

for (
    ["$line\r\n", "\r\n", $id . $line, $last, 'multipart', $type],
    ['a=', '&', 'sid=form+id/1&', 'b=c', 'urlencoded', $urlencoded],
) {
    my ($before, $behind, $end, $rest, $what, $media_type) = @$_;
    my $filled = 65536 - length $before . $behind . $end;
    for my $more (0, 1) {
        my $form = $before . 'x' x ($filled + $more) . $behind . $end . $rest;
        for my $uri ('/large/', '/') {
            is(status(send_form($form, $media_type, $uri)), $more ? 'NONE' : 'HIT',
                "$what, $uri: the end of the id is " . ($more ? 'behind' : 'within') . ' 64 KB');
        }
    }
}

# What has come when the server is chosen, where nginx does not wait for the rest.

like(summary(map { first_piece('/unbuffered/', $urlencoded, 'a=b&sid=form+id/1', 12) } 1 .. 4),
    qr/^[ABC]{2,} NONE$/, 'unbuffered: an id of which a part has come');
is(summary(map { first_piece('/unbuffered/', $urlencoded, 'sid=form+id/1&a=b', 15) } 1 .. 4),
    "$home HIT", 'unbuffered: an id that has come');
is(summary(map { first_piece('/unbuffered/', $type, $id . $file . $last, length($id . $line)) } 1 .. 4),
    "$home HIT", 'unbuffered: a field that has come');
is(posts($id . field('a', $filler x 500) . $last, $type, '/unbuffered/'), "$home HIT",
    'unbuffered: in front of 500 KB');
is(summary(map { chunked('/unbuffered/', $type, 3000, $id . field('a', $filler x 12) . $last) } 1 .. 4),
    "$home HIT", 'unbuffered: in chunks');

sub part { return "------WebKitFormBoundaryx7\r\n$_[0]\r\n\r\n$_[1]\r\n" }

sub field { return part("Content-Disposition: form-data; name=\"$_[0]\"", $_[1]) }

sub send_form {
    my ($body, $media_type, $uri) = @_;
    $media_type //= 'multipart/form-data; boundary=----WebKitFormBoundaryx7';
    return post($uri // '/', $body, 'Content-Type' => $media_type);
}

# The servers and the status of four requests: "A HIT", "ABC NONE".
sub posts {
    my @form = @_;
    return summary(map { send_form(@form) } 1 .. 4);
}

# Four requests whose bodies come in pieces of these lengths.
sub in_pieces {
    my ($uri, $media_type, $body, @lengths) = @_;
    return summary(map { piecewise($uri, $media_type, $body, @lengths) } 1 .. 4);
}
