#!/usr/bin/perl

# Tests that an id is found wherever a body is cut in two on its way, packed or not; without them,
# sessions are lost at the borders of packets and buffers, now and then.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

use IO::Compress::Gzip qw/ gzip /;

my $t = Test::Nginx->new()->has(qw/http proxy/)->plan(11);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    upstream html {
        sticky mode=query;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream forms {
        sticky mode=query learn=forms;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream text {
        sticky mode=query learn=json,sse,text;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream path {
        sticky mode=query learn=json:a.token;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        proxy_buffering off;

        location /html/ {
            proxy_pass http://html/;
        }

        location /forms/ {
            proxy_pass http://forms/;
        }

        location /text/ {
            proxy_pass http://text/;
        }

        location /path/ {
            proxy_pass http://path/;
        }

        location /small/ {
            proxy_pass http://html/;
            proxy_buffering on;
            proxy_buffer_size 1k;
            proxy_buffers 2 1k;
            proxy_busy_buffers_size 1k;
        }
    }
}

EOC

$t->run_daemon(\&scripted, port(8081), 'A', $t->testdir());
$t->run_daemon(\&scripted, port(8082), 'B', $t->testdir());
$t->waitforsocket('127.0.0.1:' . port($_)) for 8081, 8082;
$t->run();

my $ids = 0;
my $head = head('text/html');

# Each body is cut at each of its bytes, and hands out an id of its own each time.

my $link = '<p>a</p><a class="x" href="/n?a=1&amp;sid=ID&amp;b=2#t">n</a>';
my @bodies = (
    ['/html/',  'link',   'text/html', $link],
    ['/html/',  'input',  'text/html',
        '<form><input value="ID" type=hidden name=sid></form>'],
    ['/forms/', 'form',   'text/html',
        '<form action="/n?sid=ID"><input type=hidden name=sid value=ID></form>'],
    ['/text/',  'JSON',   'application/json', '{"sid" : "ID"}'],
    ['/path/',  'path in JSON', 'application/json', '{"a":{"token":"ID"}}'],
    ['/text/',  'events', 'text/event-stream', "data: /n?sid=ID\r\n\r\n"],
    ['/text/',  'text',   'text/plain', "see /n?sid=ID, then"],
    ['/text/',  'gzip',   "text/plain\r\nContent-Encoding: gzip", '/n?sid=ID ', \&gzip],
);
for (@bodies) {
    my ($uri, $what, $type, $body, $pack) = @$_;
    is(join(', ', misses($uri, sub {
        my ($id, $n) = @_;
        my $text = $body =~ s/ID/$id/gr;
        if ($pack) {
            $pack->(\$text => \my $packed, -Minimal => 1) or die $what;
            $text = $packed;
        }
        return if $n >= length $text;
        return script(head($type), substr($text, 0, $n), \0.004, substr($text, $n));
    })), '', "$what, cut at any byte");
}

is(join(', ', misses('/html/', sub {
    my ($id, $n) = @_;
    return if $n > 4;
    my $text = $link =~ s/ID/$id/r;
    return script($head, map { ($_, \0.002) } split //, $text);
})), '', 'link, byte by byte');

# The border of nginx's own buffers: the link moves over it.

is(join(', ', misses('/small/', sub {
    my ($id, $n) = @_;
    return if $n > 60;
    return script($head, ' ' x (1024 - length($head) - 140 + 4 * $n) . "<a href='/n?sid=$id'>"
        . 'x' x 800);
})), '', 'link, over the border of a buffer');

is(join(', ', misses('/small/', sub {
    my ($id, $n) = @_;
    return if $n > 20;
    return script($head, ' ' x (2048 - 40 + 2 * $n) . "<input name=sid value=$id>");
})), '', 'input, over the border of a buffer');

sub head { return "Content-Type: $_[0]\r\n\r\n" }

# The cuts at which the id was not learned, or for another server.
sub misses {
    my ($uri, $script) = @_;
    my @misses;
    for (my $n = 1; ; $n++) {
        my $id = sprintf 'id%08d', ++$ids;
        my $text = $script->($id, $n) // last;
        my $reply = get($uri, 'X-Script' => $text);
        my $next = get("$uri?sid=$id", 'X-Script' => script("\r\n"));
        push @misses, $n
            unless status($next) eq 'HIT' && served_by($next) eq served_by($reply);
    }
    return @misses;
}
