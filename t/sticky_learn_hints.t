#!/usr/bin/perl

# Tests for Early Hints (103), which nginx passes on from 1.29.0 on; without them, a client that
# prefetches a link of theirs is there before its session is known.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy/);
plan(skip_all => 'no Early Hints before nginx 1.29.0') unless $t->has_version('1.29.0');
$t->plan(22);

my %learn = (u => '', cookie => 'learn=cookie', html => 'learn=html');
my $upstreams = join '', map { <<"EOC" } sort keys %learn;
    upstream $_ {
        sticky mode=query name=sid from=query,cookie learn=html,location $learn{$_};
        server 127.0.0.1:8081 max_fails=0;
        server 127.0.0.1:8082 max_fails=0;
    }
EOC
$upstreams =~ s/learn=html,location (?=learn)//g;

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

$upstreams
    upstream mixed {
        sticky mode=query name=sid;
        server 127.0.0.1:8081 max_fails=0;
        server 127.0.0.1:8083 backup;
    }

    server {
        listen        127.0.0.1:8083;
        default_type  text/html;
        add_header    X-Server C;
        return        200 \$http_x_page;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status   \$sticky_status   always;
        add_header   X-Skipped  \$sticky_skipped  always;
        early_hints  \$http_x_hints;

        location / {
            proxy_pass http://u;
        }

        location /cookie/ {
            proxy_pass http://cookie/;
        }

        location /html/ {
            proxy_pass http://html/;
        }

        location /mixed/ {
            proxy_pass http://mixed/;
            proxy_next_upstream error;
        }

        location /variable/ {
            early_hints \$http_x_hints\$sticky_status;
            proxy_pass http://u/;
        }

        location /off/ {
            early_hints 0;
            proxy_pass http://u/;
        }
    }
}

EOC

$t->run_daemon(\&scripted, port(8081), 'A', $t->testdir());
$t->run_daemon(\&scripted, port(8082), 'B', $t->testdir());
$t->waitforsocket('127.0.0.1:' . port($_)) for 8081, 8082;
$t->run();

use constant CRLF => "\x0d\x0a";
use constant HINTED => ('X-Answer' => '103 Early Hints');

sub link_header { return join '', map { "Link: </next?sid=$_>; rel=preload" . CRLF } @_ }

# What comes behind hints.
sub final {
    my ($letter, $headers, $page) = @_;
    return join CRLF, 'HTTP/1.1 200 OK', "X-Server: $letter", 'Content-Type: text/html',
        'Connection: close', "$headers$page";
}

# Asks for hints with these headers; the response waits for the file. Returns the connection and
# what has come so far.
sub hints_of {
    my ($uri, $headers, $file, $page, @more) = @_;
    my $script = script($headers . CRLF, \"?$file", final('?', '', CRLF . $page));
    my $socket = get($uri, HINTED, 'X-Hints' => 1, 'X-Script' => $script, @more, { start => 1 });
    return ($socket, read_until($socket, qr/\x0d\x0a\x0d\x0a/) // '');
}

sub end_of {
    my ($socket, $file) = @_;
    $t->write_file($file, '');
    return reply_of($socket);
}

# Learned before delivered: the response is still to come.

my ($socket, $hints) = hints_of('/', link_header('early'), 'go1', '<html></html>');
like($hints, qr/^HTTP\/1.1 103 .*early/s, 'hints are passed on');
my $home = served_by($hints);
is(where('/?sid=early'), $home x 6, 'and their session is known');
is(status(get('/?sid=early')), 'HIT', 'as any other');
my $reply = end_of($socket, 'go1');
like($reply, qr/^HTTP\/1.1 200 /, 'the response follows');
is(status($reply), 'NEW', 'of which the hints are a part');

# The directive early_hints may ask for a variable of ours before that.

($socket, $hints) = hints_of('/variable/', link_header('asked'), 'go7', '<html></html>');
is(where('/?sid=asked'), served_by($hints) x 6, 'session of hints that a variable decides on');
is(status(end_of($socket, 'go7')), 'NEW', 'and of their response');

# The response has its own.

($socket, $hints) = hints_of('/', link_header('hint2'), 'go2', link_to('page2'));
$home = served_by($hints);
end_of($socket, 'go2');
is(where('/?sid=hint2'), $home x 6, 'session of the hints');
is(where('/?sid=page2'), $home x 6, 'session of the page');

# Several hints, and no more ids than in one header.

my @ids = map { "many$_" } 1 .. 6;
my @others = map { "other$_" } 1 .. 6;
my $second = join CRLF, 'HTTP/1.1 103 Early Hints', link_header(@others);
($socket, $hints) = hints_of('/', link_header(@ids) . CRLF . $second, 'go3', link_to('page3'));
is(header('X-Skipped', (end_of($socket, 'go3') =~ /(HTTP\/1.1 200 .*)/s)[0]), 'cap',
    'twelve in two headers');
is(join(' ', map { status(get("/?sid=$_")) } @ids, @others, 'page3'),
    'HIT ' x 8 . 'MISS ' x 4 . 'HIT', 'eight of them are learned, and that of the page');

# Other headers are passed on, too, and learned if the directive says so.

($socket, $hints) = hints_of('/cookie/', 'Set-Cookie: sid=baked' . CRLF, 'go4', '');
like($hints, qr/baked/, 'a cookie in hints');
is(where('/cookie/', Cookie => 'sid=baked'), served_by($hints) x 6, 'is learned');
end_of($socket, 'go4');
($socket, $hints) = hints_of('/html/', link_header('unread'), 'go5', '');
end_of($socket, 'go5');
is(status(get('/html/?sid=unread')), 'MISS', 'not without learn=location');

# Hints that are not passed on hand nothing out.

($socket) = (get('/off/', HINTED, 'X-Script' =>
    script(link_header('off') . CRLF, final('?', '', CRLF . 'end')), { start => 1 }));
unlike(reply_of($socket), qr/ 103 /, 'early_hints 0');
is(status(get('/?sid=off')), 'MISS', 'nothing is learned from what no client gets');

# A session that is known stays where it is.

get('/?sid=early');
my $owner = served_by(get('/?sid=early'));
for my $n (1 .. 4) {
    ($socket, $hints) = hints_of('/', link_header('early'), "go6$n", '');
    end_of($socket, "go6$n");
}
is(where('/?sid=early'), $owner x 6, 'hints of another take no session');

# The server closes behind its hints: the next one answers, for itself.

my $broken = script(link_header('broken') . CRLF);
$reply = get('/mixed/', HINTED, 'X-Hints' => 1, 'X-Script' => $broken,
    'X-Page' => link_to('after'));
is(join(' ', $reply =~ /^X-Server: (.)/mg), 'A C', 'hints of one, and the response of another');
is(where('/mixed/?sid=broken'), 'A' x 6, 'the session of the hints');
is(where('/mixed/?sid=after'), 'C' x 6, 'that of the response');

# HTTP/1.0 gets none, but nginx calls the filters.

$reply = get('/', HINTED, 'X-Hints' => 1, 'X-Script' =>
    script(link_header('old') . CRLF, final('?', '', CRLF . 'end')), { version => '1.0' });
unlike($reply, qr/ 103 /, 'HTTP/1.0');
like($reply, qr/end/, 'gets the response');
