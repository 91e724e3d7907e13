#!/usr/bin/perl

# Tests for responses that show more ids than are learned from one; without the rule which of them
# get a place, eight texts like ?sid=x1 in a guest book lose the session of everybody who reads it.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy/)->plan(41);

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    large_client_header_buffers 4 32k;
    log_format  skipped  '$request_id $sticky_skipped $sticky_status';

    include backends.conf;

    upstream u {
        sticky mode=query name=sid learn=html,location;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream shop {
        sticky mode=query name=id learn=html;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream local {
        sticky mode=query name=sid learn=html zone=off;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream text {
        sticky mode=query name=sid learn=text;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        access_log   %%TESTDIR%%/skipped.log  skipped;
        add_header   X-Status   $sticky_status   always;
        add_header   X-Id       $request_id      always;
        add_header   X-Skipped  $sticky_skipped  always;

        location / {
            proxy_pass http://u;
        }

        location /shop/ {
            proxy_pass http://shop/;
        }

        location /local/ {
            proxy_pass http://local/;
        }

        location /text/ {
            proxy_pass http://text/type/plain;
        }

        location /none/ {
            proxy_pass http://127.0.0.1:8081/;
        }
    }
}

EOC

$t->run();

my $number = 0;

# Ids that nobody has used before.
sub fresh { return map { 'id' . ++$number . 'x' } 1 .. shift }

sub texts { return '<p>' . join(' ', map { "see ?sid=$_ there" } @_) . '</p>' }
sub links { return join ' ', map { qq{<a href="/next?sid=$_">next</a>} } @_ }
sub action { return qq{<form method=post action="/next?sid=$_[0]"></form>} }
sub field { return qq{<form method=post><input type=hidden name=sid value="$_[0]"></form>} }

# What the log says of a response: $sticky_skipped and $sticky_status.
sub logged {
    my ($reply) = @_;
    my $request = header('X-Id', $reply);
    my $line;
    eventually(sub { ($line) = $t->read_file('skipped.log') =~ /^$request (.*)$/m });
    return $line // 'nothing';
}

sub is_kept {
    my ($what, $page, $id, $skipped, $at) = @_;
    $at //= '/';
    my $reply = get($at, 'X-Page' => "<html>$page</html>");
    my $parameter = $at eq '/shop/' ? 'id' : 'sid';
    ok(holds($reply, "$at?$parameter=$id"), $what);
    is(logged($reply), "$skipped NEW", "$what: in the log");
}

# The reply with as many new ids as are learned, and then these.
sub full {
    my ($uri, @ids) = @_;
    my @texts = fresh(12);
    my $link = join ', ', map { "</next?sid=$_>; rel=preload" } fresh(8);
    return get($uri, 'X-Link' => $link,
        'X-Page' => links(fresh(8)) . texts(@texts, @texts) . texts(@ids));
}

# What visitors write, before what the application writes.

for my $at ('/', '/local/') {
    my ($own) = fresh(1);
    is_kept("eight texts before a link, $at", texts(fresh(8)) . links($own), $own, '-', $at);
    ($own) = fresh(1);
    is_kept("twenty texts before a link, $at", texts(fresh(20)) . links($own), $own, 'cap', $at);
    ($own) = fresh(1);
    is_kept("twelve links before a form, $at", links(fresh(12)) . action($own), $own, 'cap', $at);
    ($own) = fresh(1);
    is_kept("twelve links before a field, $at", links(fresh(12)) . field($own), $own, 'cap', $at);
    ($own) = fresh(1);
    is_kept("twelve links before two, $at", links(fresh(12), $own, $own), $own, 'cap', $at);
}

my ($own) = fresh(1);
is_kept('in a text and in a link', texts(fresh(8), $own) . links($own), $own, '-');
($own) = fresh(1);
is_kept('nine, the last of them twice', texts(fresh(8), $own, $own), $own, '-');
($own) = fresh(1);
is_kept('a catalogue', (join ' ', map { qq{<a href="/product?id=$_">} } 1 .. 100)
    . qq{<form action="/order?id=$own">}, $own, 'cap', '/shop/');

# Sessions that are known take no place.

my @known = fresh(8);
get('/', 'X-Page' => links($_)) for @known;
($own) = fresh(1);
is_kept('behind eight known ones', texts(@known, fresh(7), $own), $own, '-');

# Nor does the id of the request.

($own) = fresh(1);
my $reply = get("/?sid=$own", 'X-Page' => texts(fresh(8), $own));
is(status($reply), 'MISS', 'an unknown id');
ok(holds($reply, "/?sid=$own"), 'in the request and behind eight others');
is(logged($reply), '- MISS', 'in the log');

# Nor when all places are taken: eight of each class, and four of repeated ids.

($own) = fresh(1);
$reply = full("/?sid=$own", $own);
is(logged($reply), '- MISS', 'twenty-eight new ids');
ok(holds($reply, "/?sid=$own"), 'and that of the request');
is(logged(full('/', fresh(1))), 'cap NEW', 'twenty-nine');

# What is not kept, as docs/variables.md says.

my @many = fresh(9);
$reply = get('/', 'X-Page' => links(@many));
is(logged($reply), 'cap NEW', 'nine links');
is(join(' ', map { status(get("/?sid=$_")) } @many), 'HIT ' x 8 . 'MISS', 'eight are learned');

@many = fresh(9);
$reply = get('/text/', 'X-Page' => "@{[ map { qq{/x?sid=$_ } } @many ]}");
is(logged($reply), 'cap NEW', 'nine of a text');

# Headers have the places of forms, and are read when add_header asks.

@many = fresh(9);
my $link = join ', ', map { "</next?sid=$_>; rel=preload" } @many;
$reply = get('/', 'X-Link' => $link);
is(header('X-Skipped', $reply), 'cap', 'nine in a header');
($own) = fresh(1);
$reply = get('/', 'X-Link' => $link, 'X-Page' => texts(fresh(8)) . links($own));
ok(holds($reply, "/?sid=$own"), 'they take no place from the page');

# Without a session there is nothing to skip.

is(header('X-Skipped', get('/', 'X-Page' => links(fresh(2)))), '', 'two ids');
is(header('X-Skipped', get('/none/', 'X-Page' => links(fresh(12)))), '', 'no sticky upstream');
