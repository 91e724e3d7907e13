#!/usr/bin/perl

# Tests for promise 1, learned before delivered: the bytes that carry a new id leave for the client
# only after the table holds it; without it a quick client's next request goes to any server.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy/)->plan(16);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

worker_processes 4;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    upstream u {
        sticky mode=query learn=html,location,json,sse,text,cookie,header:X-Id;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    server {
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;

        location /next {
            proxy_pass http://u;
            add_header X-Status $sticky_status always;
        }

        # No $sticky_status: to tell it, the header would be read earlier than need be.
        location / {
            proxy_pass http://u;
            proxy_buffering off;
        }

        location /buffered/ {
            proxy_pass http://u/;
            proxy_buffer_size 1k;
            proxy_buffers 2 1k;
            proxy_busy_buffers_size 1k;
        }
    }
}

EOC

my %ports = (A => port(8081), B => port(8082), C => port(8083));
$t->run_daemon(\&scripted, $ports{$_}, $_, $t->testdir()) for sort keys %ports;
$t->waitforsocket("127.0.0.1:$_") for values %ports;
$t->run();

# Every answer begins with what the client waits for, and goes on until the client has gone:
# whatever is learned at its end only comes too late. The next request goes out, on a connection of
# its own and mostly to another worker, as soon as the client sees the id.

my $html = "Content-Type: text/html\r\n\r\n";
my $rest = \'*';

is(follow('a', sub { script("$html<a href='?sid=$_[0]'>", $rest) }), 'HIT', 'link');
is(follow('b', sub { script("$html<input name=sid value=$_[0]>", $rest) }), 'HIT', 'input');
is(follow('c', sub { script("$html<a href='?sid=" . substr($_[0], 0, 3), \0.01,
    substr($_[0], 3) . "'>", $rest) }), 'HIT', 'link, id in two pieces');
is(follow('d', sub { script("$html<a href='?s", \0.01, "id=$_[0]'>", $rest) }),
    'HIT', 'link, name in two pieces');
is(follow('e', sub { script($html, "<p>", \0.01, "<a href='?sid=$_[0]'>", $rest) }),
    'HIT', 'link in the second piece');
is(follow('f', sub { script($html, (map { ("<p>$_</p>", \0.002) } 1 .. 5),
    "<a href='?sid=$_[0]'>", $rest) }), 'HIT', 'link in the sixth piece');
is(follow('g', sub { script("Location: /?sid=$_[0]\r\n$html<p>", $rest) }, '302 Found'), 'HIT',
    'Location');
is(follow('h', sub { script("Location: /?sid=$_[0]\r\n\r\n", $rest) }, '302 Found'), 'HIT',
    'Location, no body yet');
is(follow('i', sub { script("$html<a href='?sid=$_[0]'>", 'x' x 3000, $rest) }, '200 OK',
    '/buffered/'), 'HIT', 'link, buffered');

my %type = map { $_ => "Content-Type: $_\r\n\r\n" }
    qw{ application/json text/event-stream text/plain };
is(follow('j', sub { script("$type{'application/json'}\{\"sid\":\"$_[0]\"", $rest) }), 'HIT',
    'JSON');
is(follow('k', sub { script("$type{'text/event-stream'}data: /?sid=$_[0]\n\n", $rest) }), 'HIT',
    'event');
is(follow('l', sub { script("$type{'text/event-stream'}: hello\n\n", \0.01,
    "data: {\"sid\":\"$_[0]\"}\n\n", $rest) }), 'HIT', 'second event, JSON');
is(follow('m', sub { script("$type{'text/plain'}/?sid=$_[0] ", $rest) }), 'HIT', 'text');
is(follow('n', sub { script("Set-Cookie: sid=$_[0]\r\n\r\n", $rest) }), 'HIT', 'cookie');
is(follow('o', sub { script("X-Id: $_[0]\r\n\r\n", $rest) }), 'HIT', 'header');

# And the other way round: with the second half of the id not there, nothing of it is learned.

my $socket = start('/', script("$html<a href='?sid=abc", $rest));
read_until($socket, qr/abc/);
is(status(get('/next?sid=abc')), 'MISS', 'half an id is not learned');
close $socket;

# What became of the requests that followed at once on ten ids: their statuses, and whether they
# went elsewhere.
sub follow {
    my ($prefix, $script, $status, $uri) = @_;
    my (%seen, @open);

    for my $n (1 .. 10) {
        my $id = sprintf '%s%05d', $prefix, $n * 1237;
        my $socket = start($uri // '/', $script->($id), $status);
        my $text = read_until($socket, qr/\Q$id\E/);
        my $next = get("/next?sid=$id");
        my $what = !defined $text ? 'nothing' : status($next);
        $what .= ' elsewhere' if defined $text && served_by($next) ne served_by($text);
        $seen{$what} = 1;
        push @open, $socket;
    }

    return join ', ', sort keys %seen;
}

sub start {
    my ($uri, $script, $status) = @_;
    $status //= '200 OK';
    # HTTP/1.0, so that no chunk size stands in the middle of an id.
    return http("GET $uri HTTP/1.0\r\nHost: localhost\r\n"
        . "X-Answer: $status\r\nX-Script: $script\r\n\r\n", start => 1);
}
