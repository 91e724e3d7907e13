#!/usr/bin/perl

# Tests for share=: an application behind several upstreams, of which each finds the sessions that
# another one has begun. Without it, a WebSocket is opened at a server that does not know the page's
# session; and with one that is not careful, a request to an upstream that has only some of the
# servers takes a session away from the others.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite map upstream_zone/)->plan(44);

$t->write_file_expand('backends.conf', backends());

# Servers A, B and C; A and B have a second port, for chats. S sends what it is told to.
my $conf = <<'EOC';

%%TEST_GLOBALS%%

daemon off;
worker_processes 3;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    map $server_port $chat_letter {
        %%PORT_8084%%  A;
        %%PORT_8085%%  B;
    }

    server {
        listen      127.0.0.1:8084;
        listen      127.0.0.1:8085;
        add_header  X-Server  $chat_letter  always;
        location / {
            default_type  text/html;
            return 200 $http_x_page;
        }
    }

    upstream shop {
        sticky mode=query share=shop;
        server 127.0.0.1:8081 route=a;
        server 127.0.0.1:8082 route=b;
    }

    upstream chat {
        sticky mode=query share=shop name=key learn=html,json;
        server 127.0.0.1:8084 route=a;
        server 127.0.0.1:8085 route=b;
    }

    upstream canary {
        sticky mode=query share=shop no_fallback;
        server 127.0.0.1:8082 route=b;
        server 127.0.0.1:8083 route=c;
    }

    upstream slow {
        sticky mode=query share=shop;
        server 127.0.0.1:8086 route=s;
    }

    upstream alone {
        sticky mode=query;
        server 127.0.0.1:8081 route=a;
        server 127.0.0.1:8082 route=b;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        location /shop   { proxy_pass http://shop/; }
        location /chat   { proxy_pass http://chat/; }
        location /canary { proxy_pass http://canary/; }
        location /slow   { proxy_pass http://slow/; }
        location /alone  { proxy_pass http://alone/; }
    }
}

EOC

# What was there before the share stays.

my $before = $conf =~ s/sticky mode=query share=shop;\n(?=.*8081 route=a)/sticky mode=query;\n/r
    =~ s/ share=shop\b/ share=other/gr;
$t->write_file_expand('nginx.conf', $before);
$t->run_daemon(\&scripted, port(8086), 'S', $t->testdir());
$t->waitforsocket('127.0.0.1:' . port(8086));
$t->run();

my %home = several('/shop', 'old');
is(statuses('/shop?sid=', keys %home), 'HIT', 'sessions of an upstream without a share');
is(statuses('/chat?key=', keys %home), 'MISS', 'which no other one knows');
ok(reload_with($t, $conf), 'it becomes the first of a share');
is(astray('/shop?sid=', \%home), 0, 'and keeps its sessions');
is(astray('/chat?key=', \%home), 0, 'which the others have found');

# In every direction, by every worker.

%home = (%home, several('/shop', 'page'));
is(astray('/chat?key=', \%home), 0, 'begun on a page, chats');
is(statuses('/chat?key=', keys %home), 'HIT', 'as any session of its own');
my %chat = several('/chat', 'chat', 'key');
is(astray('/shop?sid=', \%chat), 0, 'begun in a chat, pages');
is(statuses('/alone?sid=', keys %chat), 'MISS', 'an upstream without the share knows nothing');

# An upstream that has only B of them. After a reload no worker has seen a request of the others yet.

ok(reload_with($t, $conf), 'reload');
my @of_a = grep { $home{$_} eq 'A' } sort keys %home;
my @of_b = grep { $home{$_} eq 'B' } sort keys %home;
is(statuses('/canary?sid=', @of_a), 'FOREIGN', 'sessions of a server of another upstream');
is(statuses('/canary?sid=', @of_b), 'HIT', 'those of a server of both');
my %servers = map { served_by(get("/canary?sid=$_")) => 1 } (@of_a) x 4;
is(join('', sort keys %servers), 'BC', 'the former are balanced, whatever no_fallback says');

# And stay, though its answers have the id: as links, redirects, once and again.

for my $id (@of_a) {
    get("/canary?sid=$id", 'X-Page' => link_to($id)) for 1 .. 2;
    get('/canary', 'X-Page' => link_to($id)) for 1 .. 2;
}
is(statuses('/canary?sid=', @of_a), 'FOREIGN', 'an answer with the id does not take it');
is(astray('/shop?sid=', \%home), 0, 'nor does it move any');

# Not one that has never come back either.

my %new = several('/shop', 'new');
for my $id (grep { $new{$_} eq 'A' } keys %new) {
    get("/canary?sid=$id", 'X-Page' => link_to($id)) for 1 .. 2;
}
is(astray('/shop?sid=', \%new), 0, 'a session that was not in use yet');

# Nor one that began elsewhere while the request was on its way.

my $page = link_to('race');
my $socket = get('/slow?sid=race', 'X-Script' => script(\'?go', "Content-Type: text/html\x0d\x0a\x0d\x0a$page"),
    { start => 1 });
my $race = begun('/shop', 'race');
$t->write_file('go', '');
my $slow = reply_of($socket);
is(join(' ', served_by($slow), status($slow)), 'S MISS', 'an answer that took its time');
is(where('/shop?sid=race'), $race x 6, 'and came too late');

# Of several ids, one of a server that is not there counts as none.

is(visit("/canary?sid=$of_a[0]&sid=$of_b[0]"), 'B HIT', 'another session decides');
is(visit("/canary?sid=none&sid=$of_b[0]&sid=$of_a[0]"), 'B HIT', 'in any order');
is((split ' ', visit("/canary?sid=$of_a[0]&sid=$of_a[1]"))[1], 'FOREIGN', 'unless there is none');

# The share in a zone with others, and of another size.

my $zoned = $conf =~ s/share=shop/share=shop zone=all/gr =~ s/zone=all/zone=all:256k/r
    =~ s/(upstream alone \{\n\s+sticky mode=query)/$1 zone=all/r;
ok(reload_with($t, $zoned), 'a zone by name');
%home = several('/shop', 'zone');
is(astray('/chat?key=', \%home), 0, 'shared there, too');
is(statuses('/alone?sid=', keys %home), 'MISS', 'though not with everybody in the zone');
ok(reload_with($t, $zoned =~ s/256k/512k/r), 'another size');
is(astray('/chat?key=', \%home) + astray('/shop?sid=', \%home), 0, 'sessions stay');

# Over a restart.

my $stateful = $zoned =~ s/256k/256k state=%%TESTDIR%%\/shop.state/r;
ok(reload_with($t, $stateful), 'a state file');
is(astray('/chat?key=', \%home), 0, 'sessions stay');
$t->stop();
$t->run();
is(astray('/chat?key=', \%home) + astray('/shop?sid=', \%home), 0, 'and are in the file');

# A server leaves one upstream, and is still in another.

@of_a = grep { $home{$_} eq 'A' } sort keys %home;
@of_b = grep { $home{$_} eq 'B' } sort keys %home;
my $without = $stateful =~ s/server 127.0.0.1:8081 route=a;\n(?=\s+server 127.0.0.1:8082)//r;
ok(reload_with($t, $without), 'a server leaves an upstream');
is(statuses('/shop?sid=', @of_a), 'FOREIGN', 'its sessions are not lost');
get("/shop?sid=$_", 'X-Page' => link_to($_)) for @of_a;
is(astray('/chat?key=', \%home), 0, 'and are at it where it still is');

# It leaves all of them.

ok(reload_with($t, $without =~ s/server 127.0.0.1:8084 route=a;//r), 'and the others');
is(statuses('/shop?sid=', @of_a), 'GONE', 'its sessions are lost');
is(statuses('/shop?sid=', @of_a), 'HIT', 'and have moved');
is(statuses('/chat?key=', @of_a), 'HIT', 'for all upstreams');

# A server that only another one has, known by its address where that has no route.

my $addresses = $stateful =~ s/ route=\w//gr;
ok(reload_with($t, $addresses), 'servers without routes');
%home = several('/shop', 'plain');
is(statuses('/canary?sid=', grep { $home{$_} eq 'A' } keys %home), 'FOREIGN', 'the other address');
is(statuses('/canary?sid=', grep { $home{$_} eq 'B' } keys %home), 'HIT', 'the same address');

# Upstreams whose servers nginx has in shared memory.

my $in_memory = $conf =~ s/(upstream (\w+) \{)/$1\n        zone $2 64k;/gr;
ok(reload_with($t, $in_memory), 'upstreams with a zone of their own');
%home = several('/shop', 'memory');
ok(reload_with($t, $in_memory), 'reload');
is(statuses('/canary?sid=', grep { $home{$_} eq 'A' } keys %home), 'FOREIGN', 'the other server');
is(statuses('/canary?sid=', grep { $home{$_} eq 'B' } keys %home), 'HIT', 'the server of both');
is(astray('/chat?key=', \%home), 0, 'found by all');

# Has an id handed out; returns the server that did it.
sub begun {
    my ($uri, $id, $name) = @_;
    my $link = sprintf '<a href="/next?%s=%s">', $name // 'sid', $id;
    return served_by(get($uri, 'X-Page' => $link));
}

# Sessions of both servers, at least three of each.
sub several {
    my ($uri, $prefix, $name) = @_;
    my (%home, %count);
    for my $number (1 .. 200) {
        my $server = $home{"$prefix$number"} = begun($uri, "$prefix$number", $name);
        $count{$server}++;
        last if ($count{A} // 0) > 2 && ($count{B} // 0) > 2;
    }
    return %home;
}

# How many of the ids lead to another server than theirs, of three requests each.
sub astray {
    my ($uri, $home) = @_;
    return scalar grep { served_by(get($uri . $_)) ne $home->{$_} } (sort keys %$home) x 3;
}

# The statuses of one request with each id.
sub statuses {
    my ($uri, @ids) = @_;
    return join ' ', sort keys %{ { map { status(get($uri . $_)) => 1 } @ids } };
}
