package Sticky::PeersWebSocket;

# WebSocket servers, by Debian's python3-websockets, and a small client.
#
# A server answers a plain request with a page that links to a chat under a new session id, and each
# message of a chat with its name, the session's number of messages so far, and the message.

use strict;
use warnings;

use Exporter qw/ import /;

use Sticky::Peers qw/ python /;
use Test::Nginx ();

our @EXPORT_OK = qw/ websocket_server open_chat say hang_up /;

sub websocket_server {
    my ($t, @ports) = @_;

    $t->write_file('chat.py', <<'EOC');
import asyncio, http, logging, sys, urllib.parse
# The interface that was there before version 14, and is since.
from websockets.legacy.server import serve

logging.disable()  # of clients that go without a good-bye

name, made, counts = sys.argv[1], [0], {}

async def page(path, headers):
    if 'Upgrade' in headers:
        return None
    made[0] += 1
    key = 'w%sx%d' % (name, made[0])
    counts[key] = 0
    text = '<a href="chat?sid=%s">chat</a>' % key
    return http.HTTPStatus.OK, [('Content-Type', 'text/html'), ('X-Server', name)], text.encode()

async def chat(socket):
    key = urllib.parse.parse_qs(urllib.parse.urlsplit(socket.path).query).get('sid', [''])[0]
    async for message in socket:
        if key and key not in counts:
            await socket.send('%s lost %s' % (name, message))
            continue
        counts[key] = counts.get(key, 0) + 1
        await socket.send('%s %d %s' % (name, counts[key], message))

async def main():
    async with serve(chat, '127.0.0.1', int(name), process_request=page,
                     extra_headers=[('X-Server', name)]):
        await asyncio.Future()

asyncio.run(main())
EOC

    $t->run_daemon(python('websockets.legacy.server'), $t->testdir() . '/chat.py', $_) for @ports;
}

# Shakes hands; returns the socket and the head of the answer.
sub open_chat {
    my ($uri, @headers) = @_;

    my $socket = request_1_1($uri, @headers) or return;
    my $head = '';
    while (defined(my $line = readline $socket)) {
        $head .= $line;
        last if $line eq "\x0d\x0a";
    }
    return ($socket, $head);
}

sub request_1_1 {
    my ($uri, @headers) = @_;
    # The key is the example of RFC 6455, section 1.2.
    return Test::Nginx::http(join("\x0d\x0a", "GET $uri HTTP/1.1", 'Host: localhost',
        'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13',
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', @headers, '', ''), start => 1);
}

# Sends a text of less than 126 bytes, masked with zeroes, and returns the text that comes back.
sub say {
    my ($socket, $text) = @_;
    print {$socket} pack 'C C N a*', 0x81, 0x80 | length $text, 0, $text;
    return eval {
        local $SIG{ALRM} = sub { die "timeout\n" };
        alarm 60;
        read $socket, my $start, 2 or die "closed\n";
        my ($type, $length) = unpack 'C C', $start;
        read $socket, my $answer, $length or die "closed\n";
        alarm 0;
        $type == 0x81 ? $answer : sprintf 'frame of type %x', $type;
    } // do { alarm 0; "nothing: $@" };
}

# Says good-bye as the protocol wants it.
sub hang_up {
    my ($socket) = @_;
    # Close, with code 1000.
    print {$socket} pack 'C C N n', 0x88, 0x82, 0, 1000;
    local $SIG{ALRM} = sub { die "timeout\n" };
    my $rest = eval { alarm 60; local $/; my $all = <$socket>; alarm 0; $all };
    alarm 0;
    close $socket;
    return defined $rest ? 1 : 0;
}

1;
