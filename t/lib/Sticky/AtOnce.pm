package Sticky::AtOnce;

# Many requests with bodies that a worker gets in one turn of its event loop: it is stopped while they
# are sent, on connections that it has accepted before.

use strict;
use warnings;

use Exporter qw/ import /;
use IO::Socket::INET;

use Sticky::Client;
use Test::Nginx;

our @EXPORT = qw/
    dear_body connection request in_chunks answer while_stopped
    h2_connection h2_post h2_settle h2_cancel h2_answers
/;

# Bytes: as much as fits into the buffers of a socket, so that a worker that is stopped can get it.
use constant SIZE => 48_000;

# A body of JSON that takes long to read, with its id at its end, or first of all.
sub dear_body {
    my ($id, %option) = @_;
    my $text = '"\\n":1,' x (SIZE / 7);
    return $option{first} ? qq!{"sid":"$id",$text"z":1}! : qq!{$text"sid":"$id"}!;
}

# A connection that the worker has accepted, with a session of that id on it: socket, server.
sub connection {
    my ($id, $port) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1:' . port($port // 8080)) or die "No connection: $!";
    $socket->blocking(1);
    print {$socket} request('/buffered/begin', qq!{"sid":"$id"}!);
    my $reply = answer($socket);
    return ($socket, served_by($reply));
}

# A request on a connection that stays open.
sub request {
    my ($uri, $body, @headers) = @_;
    my $length = 'Content-Length: ' . length $body;
    return join "\r\n", "POST $uri HTTP/1.1", 'Host: localhost', 'Content-Type: application/json',
        @headers ? @headers : $length, '', $body;
}

# A body in chunks.
sub in_chunks {
    my ($body) = @_;
    return join('', map { sprintf "%x\r\n%s\r\n", length, $_ } unpack '(a5000)*', $body) . "0\r\n\r\n";
}

# The next answer on it, all of which have a Content-Length.
sub answer {
    my ($socket) = @_;
    my $reply = '';
    while ($reply !~ /\r\n\r\n/) {
        my $head = <$socket> // return $reply;
        $reply .= $head;
    }
    read $socket, my $body, header('Content-Length', $reply) || 0;
    return $reply . ($body // '');
}

# Has something done meanwhile.
sub while_stopped {
    my ($pid, $do) = @_;
    kill 'STOP', $pid or die "Can't stop $pid: $!";
    eventually(sub { state_of($pid) eq 'T' }) or die "$pid does not stop";
    my @result = $do->();
    kill 'CONT', $pid;
    return @result;
}

sub state_of {
    my ($pid) = @_;
    open my $file, '<', "/proc/$pid/stat" or die "No process $pid";
    return <$file> =~ /\) (\S)/ ? $1 : '';
}

# A frame of HTTP/2 (RFC 9113, 4.1).
sub frame {
    my ($type, $flags, $stream, $payload) = @_;
    return substr(pack('N', length $payload), 1) . pack('CCN', $type, $flags, $stream) . $payload;
}

# Types and flags.
use constant { DATA => 0, HEADERS => 1, RST_STREAM => 3, SETTINGS => 4, PING => 6, END_STREAM => 1, END_HEADERS => 4, ACK => 1 };

# A connection that speaks it.
sub h2_connection {
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1:' . port(8085)) or die "No connection: $!";
    print {$socket} "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . frame(SETTINGS, 0, 0, '');
    # Then nginx has said how much it takes.
    h2_settle($socket);
    return $socket;
}

# The frames of a request: all but the last byte of its body, in frames of up to 16 KB, and that byte.
sub h2_post {
    my ($stream, $uri, $body) = @_;
    my %header = (':method' => 'POST', ':scheme' => 'http', ':path' => $uri, ':authority' => 'localhost',
        'content-type' => 'application/json', 'content-length' => length $body);
    # Literal header fields without indexing (RFC 7541, 6.2.2).
    my $head = join '', map { chr(0) . chr(length) . $_ . chr(length $header{$_}) . $header{$_} }
        sort keys %header;
    my $last = substr $body, -1, 1, '';
    my $first = join '', frame(HEADERS, END_HEADERS, $stream, $head),
        map { frame(DATA, 0, $stream, $_) } unpack '(a16000)*', $body;
    return ($first, frame(DATA, END_STREAM, $stream, $last));
}

# Waits until nginx has read all that was sent so far, and sends nothing meanwhile.
sub h2_settle {
    my ($socket) = @_;
    print {$socket} frame(PING, 0, 0, '8 bytes.');
    my @seen = ('', 0);
    until ($seen[0] eq PING) {
        @seen = read_frame($socket);
        die 'The connection is closed' if $seen[0] eq '';
    }
}

# Gives a stream up.
sub h2_cancel { return frame(RST_STREAM, 0, $_[0], pack 'N', 8) }

# The bodies of the answers, by their streams, when so many have ended.
sub h2_answers {
    my ($socket, $count) = @_;
    my (%body, $ended);
    while (($ended // 0) < $count) {
        my ($type, $flags, $stream, $payload) = read_frame($socket);
        last if $type eq '';
        $body{$stream} .= $payload if $type == DATA;
        $ended++ if ($type == DATA || $type == HEADERS) && $flags & END_STREAM;
    }
    return %body;
}

sub read_frame {
    my ($socket) = @_;
    (read $socket, my $head, 9) == 9 or return ('', 0, 0, '');
    my ($high, $low, $type, $flags, $stream) = unpack 'CnCCN', $head;
    my $payload = '';
    read $socket, $payload, $high << 16 | $low;
    return ($type, $flags, $stream, $payload);
}

1;
