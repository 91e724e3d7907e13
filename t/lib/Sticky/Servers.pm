package Sticky::Servers;

# Servers to stand behind nginx whose behaviour a test decides while they run.
#
# A server answers every request at once with its name, but for those to /hold…, which it answers
# when it is told to: that is how a test keeps connections open; to /broken…, where it closes the
# connection instead; and to /redirect/TO, which it redirects to /TO. It counts the connections that
# nginx opens. A test talks to it directly: ask($port, 'held' | 'release' | 'connections' | 'exit').

use strict;
use warnings;

use Exporter qw/ import /;
use IO::Select;
use IO::Socket::INET;

our @EXPORT = qw/ server ask /;

my $CRLF = "\x0d\x0a";

# For run_daemon(): serves for ever as $name on this port.
sub server {
    my ($port, $name) = @_;

    my $listener = IO::Socket::INET->new(
        Proto => 'tcp', LocalAddr => "127.0.0.1:$port", Listen => 64, ReuseAddr => 1,
    ) or die "Can't listen: $!";
    my $sockets = IO::Select->new($listener);
    my (%unread, %counted, @held);

    local $SIG{PIPE} = 'IGNORE';

    while (1) {
        for my $socket ($sockets->can_read()) {
            if ($socket == $listener) {
                my $client = $listener->accept() or next;
                $client->autoflush(1);
                $sockets->add($client);
                $unread{$client} = '';
                next;
            }
            if (!sysread $socket, $unread{$socket}, 65536, length $unread{$socket}) {
                $sockets->remove($socket);
                @held = grep { $_ != $socket } @held;
                delete $unread{$socket};
                delete $counted{$socket};
                close $socket;
                next;
            }
            while ($unread{$socket} =~ s/\A(\w+) (\S+)[^\x0a]*\x0a.*?\x0d\x0a\x0d\x0a//s) {
                my $path = $2;
                if ($path eq '/control/held') {
                    reply($socket, $name, scalar @held);
                } elsif ($path eq '/control/connections') {
                    reply($socket, $name, $counted{total} // 0);
                } elsif ($path eq '/control/release') {
                    reply($_, $name, 'released') for @held;
                    reply($socket, $name, scalar @held);
                    @held = ();
                } elsif ($path eq '/control/exit') {
                    close $listener;
                    reply($socket, $name, 'bye');
                    exit 0;
                } else {
                    $counted{$socket}++ or $counted{total}++;
                    if ($path =~ m!^/hold!) {
                        push @held, $socket;
                    } elsif ($path =~ m!^/broken!) {
                        $socket->shutdown(2);
                    } elsif ($path =~ m!^/redirect(/.*)!) {
                        reply($socket, $name, 'elsewhere', $1);
                    } else {
                        reply($socket, $name, "$name $path");
                    }
                }
            }
        }
    }
}

sub reply {
    my ($socket, $name, $body, $location) = @_;
    my $status = defined $location ? "302 Found${CRLF}Location: $location" : '200 OK';
    print {$socket} "HTTP/1.1 $status${CRLF}X-Server: $name$CRLF"
        . 'Content-Length: ' . length($body) . "$CRLF$CRLF$body";
}

# What the server on this port says to a question of the test.
sub ask {
    my ($port, $question) = @_;

    my $socket = IO::Socket::INET->new(
        Proto => 'tcp', PeerAddr => "127.0.0.1:$port", Timeout => 60,
    ) or return undef;
    print {$socket} "GET /control/$question HTTP/1.1${CRLF}Host: a$CRLF$CRLF";
    $socket->shutdown(1);
    local $/;
    my $reply = <$socket>;
    return undef unless defined $reply;

    return $reply =~ s/\A.*?\x0d\x0a\x0d\x0a//sr;
}

1;
