package Exchange;

# The clients and the servers of a proxy in one process, which sees where each request arrives before
# it is answered: nothing here depends on how quick the machine is.

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw/ time /;

use Servers;

# Seconds that nothing takes.
use constant PATIENCE => 60;

# A client of the proxy on $front, and servers on these ports of 127.0.0.1.
sub new {
    my ($class, $front, @ports) = @_;

    my %self = (front => $front, select => IO::Select->new(), read => {}, server => {}, idle => [],
        arrived => []);
    for my $number (0 .. $#ports) {
        my $listener = IO::Socket::INET->new(Proto => 'tcp', LocalAddr => "127.0.0.1:$ports[$number]",
            Listen => 512, ReuseAddr => 1) or Servers::give_up("cannot listen: $!");
        $self{select}->add($listener);
        $self{listener}{$listener} = $number;
    }
    return bless \%self, $class;
}

# Sends a request, whole, on a connection that no other one uses. Returns the client's side of it.
sub ask {
    my ($self, $request) = @_;

    my $socket = shift @{ $self->{idle} } // IO::Socket::INET->new(Proto => 'tcp',
        PeerAddr => "127.0.0.1:$self->{front}") // Servers::give_up("cannot connect: $!");
    $self->{select}->add($socket);
    my %client = (socket => $socket, got => '', asked => time);
    $self->{client}{$socket} = \%client;
    print_all($socket, $request);
    return \%client;
}

# The next request at a server: the number of the server, and the text up to the end of its body.
sub arrived {
    my ($self) = @_;
    $self->wait_for(sub { @{ $self->{arrived} } });
    return shift @{ $self->{arrived} };
}

# Sends a piece of the response to such a request.
sub answer { return print_all($_[1]{socket}, $_[2]) }

# Waits until the response is whole. Returns the client's side, whose `got` is the text of it and
# `begun` the seconds until its first byte.
sub answered {
    my ($self, $client) = @_;
    $self->wait_for(sub { is_whole($client->{got}) || $client->{closed} });
    $self->{select}->remove($client->{socket});
    delete $self->{client}{ $client->{socket} };
    push @{ $self->{idle} }, $client->{socket} unless $client->{closed};
    return $client;
}

# Closes the connections to the proxy that nobody uses.
sub forget {
    my ($self) = @_;
    close $_ for splice @{ $self->{idle} };
    return;
}

# Goes on for so many seconds.
sub wait_seconds {
    my ($self, $seconds) = @_;
    my $end = time + $seconds;
    while ((my $left = $end - time) > 0) {
        $self->turn($left);
    }
    return;
}

sub wait_for {
    my ($self, $done) = @_;
    my $end = time + PATIENCE;
    until ($done->()) {
        Servers::give_up('a request or a response does not come') if time > $end;
        $self->turn(1);
    }
    return;
}

sub turn {
    my ($self, $seconds) = @_;
    for my $socket ($self->{select}->can_read($seconds)) {
        if (defined(my $number = $self->{listener}{$socket})) {
            my $accepted = $socket->accept() or next;
            $self->{select}->add($accepted);
            $self->{server}{$accepted} = { number => $number, got => '' };
        } elsif (my $client = $self->{client}{$socket}) {
            if (sysread $socket, $client->{got}, 65536, length $client->{got}) {
                $client->{begun} //= time - $client->{asked};
            } else {
                $client->{closed} = 1;
                $self->{select}->remove($socket);
            }
        } else {
            my $server = $self->{server}{$socket};
            if (!sysread $socket, $server->{got}, 65536, length $server->{got}) {
                $self->{select}->remove($socket);
                delete $self->{server}{$socket};
                close $socket;
                next;
            }
            while (my $length = whole($server->{got})) {
                my $text = substr $server->{got}, 0, $length, '';
                push @{ $self->{arrived} }, { server => $server->{number}, socket => $socket, text => $text };
            }
        }
    }
    return;
}

# The length of the message at the beginning of the text, 0 when it is not whole. Here all messages say
# their length, or come in chunks.
sub whole {
    my ($text) = @_;
    my $head = 4 + index $text, "\r\n\r\n";
    return 0 if $head < 4;
    my $before = substr $text, 0, $head;
    if ($before =~ /^Transfer-Encoding: chunked/mi) {
        my $end = index $text, "\r\n0\r\n\r\n", $head - 2;
        return $end < 0 ? 0 : $end + 7;
    }
    my $length = $head + ($before =~ /^Content-Length: (\d+)/mi ? $1 : 0);
    return length $text >= $length ? $length : 0;
}

sub is_whole { return whole($_[0]) > 0 }

sub print_all {
    my ($socket, $text) = @_;
    local $SIG{PIPE} = 'IGNORE';
    while (length $text) {
        my $written = syswrite $socket, $text;
        return 0 unless $written;
        substr $text, 0, $written, '';
    }
    return 1;
}

1;
