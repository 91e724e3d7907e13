#!/usr/bin/perl

# Tests for session ids in posted forms (from=form) and the order of from=; without them the session
# of an application that keeps its id in a hidden input is lost with the first form.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(24);

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
        sticky mode=query zone=all:1m;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream query {
        sticky mode=query from=query;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream form_first {
        sticky mode=query from=form,query;
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

        location /query/ {
            proxy_pass http://query/;
        }

        location /form_first/ {
            proxy_pass http://form_first/;
        }

        location /unbuffered/ {
            proxy_request_buffering off;
            proxy_http_version 1.1;
            proxy_pass http://u/;
        }

        location /in_file/ {
            client_body_in_file_only clean;
            proxy_pass http://u/;
        }
    }
}

EOC

$t->run();

my $hidden = '<form method="post"><input type="hidden" name="sid" value="%s"></form>';
my $reply = get('/', 'X-Page' => sprintf $hidden, 'form id/1');
my $home = served_by($reply);

is(posts(sub { post('/', 'item=1&sid=form+id%2f1&n=2') }), "$home HIT", 'urlencoded form');
is(posts(sub { post('/', 'sid=form%20id/1') }), "$home HIT", 'form that is the id only');
is(posts(sub { in_pieces('/', 'item=1&si', 'd=form+i', 'd/1&n=2') }), "$home HIT",
    'form in several pieces');
is(posts(sub { chunked('/', 'item=1&si', 'd=form+id/1&n=2') }), "$home HIT", 'form in chunks');
is(posts(sub { post('/', 'sid=form+id/1',
    'Content-Type' => 'Application/X-WWW-Form-Urlencoded; charset=utf-8') }), "$home HIT",
    'form, type in another case and with a charset');
is(posts(sub { post('/', 'n=' . 'x' x 3000 . '&sid=form+id/1') }), "$home HIT",
    'form that just fits into memory');

is(posts(sub { post('/', 'n=' . 'x' x 12000 . '&sid=form+id/1') }), "$home HIT",
    'form larger than client_body_buffer_size');
is(posts(sub { post('/in_file/', 'sid=form+id/1') }), "$home HIT", 'form that is always in a file');

# Only what is a form, and its first 64 KB.

like(posts(sub { post('/', 'n=' . 'x' x 1000000 . '&sid=form+id/1') }), qr/^[ABC]{2,} NONE$/,
    'a megabyte before the id: balanced');
like(posts(sub { post('/', 'sid=form+id/1', 'Content-Type' => 'text/plain') }),
    qr/^[ABC]{2,} NONE$/, 'body of another type is balanced');
like(posts(sub { post('/', '') }), qr/^[ABC]{2,} NONE$/, 'empty form is balanced');
like(posts(sub { post('/', 'a=1;sid=form+id/1') }), qr/^[ABC]{2,} NONE$/,
    'a semicolon separates nothing in a form');
is(posts(sub { post('/', 'sid=other&sid=form+id/1') }), "$home HIT", 'the live one of two ids');
is(status(post('/', 'sid=unknown')), 'MISS', 'unknown id');
like(post('/unbuffered/', 'sid=form+id/1'), qr/ 200 /, 'body that is not read first is passed on');
like(served_by(in_pieces('/unbuffered/', 'si', 'd=form+id/1')), qr/[ABC]/, 'and in pieces');

# The order of from=. Two ids at different servers.

my (%first, %second);
for my $where ('', '/query', '/form_first') {
    $first{$where} = served_by(get("$where/", 'X-Page' => link_to('first')));
    $second{$where} = served_by(get("$where/", 'X-Page' => link_to('second')));
    isnt($first{$where}, $second{$where}, "two servers for two ids $where");
}

is(posts(sub { post('/?sid=first', 'sid=second') }), "$first{''} HIT", 'query,form: the query');
is(posts(sub { post('/query/?sid=first', 'sid=second') }), "$first{'/query'} HIT",
    'query: the query');
is(status(post('/query/', 'sid=second')), 'NONE', 'query: nothing in the form');
is(posts(sub { post('/form_first/?sid=first', 'sid=second') }), "$second{'/form_first'} HIT",
    'form,query: the form');
is(posts(sub { post('/form_first/?sid=first', 'a=b') }), "$first{'/form_first'} HIT",
    'form,query: the query when the form has none');

# The servers and the status of four requests: "A HIT", "ABC NONE".
sub posts {
    my ($request) = @_;
    my (%backends, %statuses);
    for (1 .. 4) {
        my $reply = $request->();
        $backends{ served_by($reply) } = 1;
        $statuses{ status($reply) } = 1;
    }
    return join(' ', join('', sort keys %backends), join('', sort keys %statuses));
}

sub in_pieces {
    my ($uri, @pieces) = @_;
    my $length = length join '', @pieces;
    my $socket = http("POST $uri HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        . "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: $length\r\n\r\n",
        start => 1);
    my $last = pop @pieces;
    for my $piece (@pieces) {
        select undef, undef, undef, 0.02;
        http($piece, socket => $socket, start => 1);
    }
    select undef, undef, undef, 0.02;
    return http($last, socket => $socket);
}

sub chunked {
    my ($uri, @pieces) = @_;
    return http("POST $uri HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        . "Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n"
        . join('', map { sprintf "%x\r\n%s\r\n", length, $_ } @pieces) . "0\r\n\r\n");
}
