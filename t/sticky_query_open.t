#!/usr/bin/perl

# Tests for sessions with an open response: they live as long as it is open. Without this, a visitor
# who watches a stream, waits for an answer or downloads a file for longer than expires= is sent to
# another server with his next click.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;

use IO::Socket::INET;

use constant CRLF => "\x0d\x0a";

# Longer than expires=.
use constant LONG => 9;

my $t = Test::Nginx->new()->has(qw/http proxy/)->plan(17);

my $conf = <<'EOC';

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    upstream u {
        sticky mode=query expires=4s learn=html,sse;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream limited {
        sticky mode=query expires=4s lifetime=6s learn=html,sse;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;
        proxy_http_version 1.1;
        proxy_read_timeout 10m;
        send_timeout       10m;
        proxy_set_header   Upgrade     $http_upgrade;
        proxy_set_header   Connection  upgrade;

        location / {
            proxy_pass http://u;
        }

        location /limited {
            proxy_pass http://limited;
        }
    }
}

EOC

$t->write_file_expand('nginx.conf', $conf);
# More than all buffers between its client and nginx have room for.
$t->write_file('large', 'x' x (8 << 20));

for my $server ([8081, 'A'], [8082, 'B']) {
    my ($port, $name) = @$server;
    $t->run_daemon(\&scripted, port($port), $name, $t->testdir());
    $t->waitforsocket('127.0.0.1:' . port($port));
}
$t->run();

my $until_end = \'?end';
my $events = join CRLF, 'Content-Type: text/event-stream', 'X-Accel-Buffering: no', '', '';
my $stream = $events . "data: first\n\n";
my $handing_out = $events . "data: /messages?sid=%s\n\n";
my $download = 'Content-Type: application/octet-stream' . CRLF . CRLF;

# What is open, by the id of its session.
my %open = (
    stream => ['/', script($stream, $until_end, "data: last\n\n")],
    poll => ['/', script($until_end, CRLF . 'at last')],
    download => ['/', script($download, \'@large')],
    websocket => ['/', script(CRLF . 'hello', $until_end, 'bye'),
        'X-Answer: 101 Switching Protocols', 'Upgrade: websocket', 'Connection: upgrade'],
    none => undef,
    # Those whose response begins the session.
    begun => ['/', script(sprintf($handing_out, 'begun'), $until_end)],
    limited => ['/limited', script(sprintf($handing_out, 'limited'), $until_end)],
);

# All at once, for they take their time.

my (%home, %socket);
for my $id (sort keys %open) {
    my ($uri, $script, @headers) = @{ $open{$id} // ['/'] };
    if ($id !~ /begun|limited/) {
        my $page = 'Content-Type: text/html' . CRLF . CRLF . link_to($id);
        $home{$id} = served_by(get($uri, 'X-Script' => script($page)));
    }
    next unless $script;
    $uri .= "?sid=$id" if $home{$id};
    my $socket = IO::Socket::INET->new(Proto => 'tcp', PeerAddr => '127.0.0.1:' . port(8080));
    print {$socket} join CRLF, "GET $uri HTTP/1.1", 'Host: localhost', "X-Script: $script",
        (@headers ? @headers : 'Connection: close'), '', '';
    $socket{$id} = $socket;
}
for my $id (grep { $_ ne 'poll' } keys %socket) {
    my $head = read_until($socket{$id}, qr/\x0d\x0a\x0d\x0a/);
    is(status($head), $home{$id} ? 'HIT' : 'NONE', "$id: open") if $id !~ /download/;
    $home{$id} //= served_by($head);
}

# Two seconds later, workers end that serve all of them, and go on with these.

sleep 2;
my @old = workers($t);
$t->reload();
ok(stopped_listening(@old) && (grep { kill 0, $_ } @old), 'their worker is about to end');
sleep LONG;
is(scalar(grep { kill 0, $_ } @old), scalar @old, 'and waits for them');

for my $id (sort grep { !/none|limited/ } keys %open) {
    is(visit("/?sid=$id"), "$home{$id} HIT", "$id: a session that is in use");
}
is(status(get('/?sid=none')), 'EXPIRED', 'one without an open response has ended');
is(status(get('/limited?sid=limited')), 'EXPIRED', 'one that has a lifetime has ended with that');

# When they end, the sessions do.

$t->write_file('end', '');
reply_of($_) for values %socket;
close $_ for values %socket;
ok(eventually(sub { !grep { kill 0, $_ } @old }), 'the worker has ended');
sleep 6;
is(join(' ', map { status(get("/?sid=$_")) } sort grep { !/limited/ } keys %open),
    join(' ', ('EXPIRED') x 6), 'sessions end after the last response');
unlink $t->testdir() . '/end';

# Clients that go at any time, before and after a second has passed.

get('/', 'X-Script' => script('Content-Type: text/html' . CRLF . CRLF . link_to('gone')));
for my $round (1 .. 3) {
    my @sockets = map {
        my $uri = $_ % 3 ? '/?sid=gone' : '/';
        my $what = $_ % 2 ? sprintf $handing_out, "gone$round-$_" : $stream;
        get($uri, 'X-Script' => script($what, $until_end), { start => 1 })
    } 1 .. 40;
    close $_ for splice @sockets, 0, 20;
    select undef, undef, undef, 1.3;
    close $_ for @sockets;
}
is(code(get('/')), 200, 'clients that hang up');
is(() = $t->read_file('error.log') =~ /exited on signal/g, 0, 'no worker has died');
