package Probe;

# A client that asks on time, whatever became of its earlier requests, and notes how long each
# had to wait: half of them on connections that are kept, half on new ones.
#
# A wait counts from the moment at which the request was due. A kept connection that nginx closes
# while the request is on its way is a reload's ordinary course: as browsers do, the client asks
# again on a new one, and goes on counting.

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw/ time /;

use constant EVERY => 0.004;

# $path makes the path of a request.
sub new {
    my ($class, $port, $path) = @_;
    my %self = (port => $port, path => $path, select => IO::Select->new(), open => {}, idle => []);
    return bless \%self, $class;
}

# Asks until $done says so, which is asked every EVERY. Returns what became of the requests: for each
# [when it was due, seconds it waited, whether on a kept connection, answer's head, how many of these
# seconds the client itself was late].
sub ask_until {
    my ($self, $done) = @_;
    my ($due, $number, @answers) = (time, 0);

    until ($done->()) {
        # On time, and as many as were missed.
        while ($due <= time) {
            $self->ask($due, $number++ % 2);
            $due += EVERY;
        }
        push @answers, $self->answers($due);
    }
    my $patience = time + 10;
    push @answers, $self->answers(time + 0.01) while $self->waiting() && time < $patience;
    Servers::give_up($self->waiting() . ' requests got no answer in 10 seconds') if $self->waiting();

    return @answers;
}

sub waiting { return scalar grep { $_->{due} } values %{ $_[0]{open} } }

sub ask {
    my ($self, $due, $kept) = @_;

    my $connection = $kept && pop @{ $self->{idle} } || $self->connect($kept);
    $connection->{due} = $due;
    $connection->{late} = time - $due;
    $connection->{got} = '';
    my $close = $kept ? '' : "Connection: close\r\n";
    # A connection that nginx has just closed is found out when the answer is read.
    local $SIG{PIPE} = 'IGNORE';
    syswrite $connection->{socket},
        'GET ' . $self->{path}->() . " HTTP/1.1\r\nHost: shop.example\r\n$close\r\n";
}

sub connect {
    my ($self, $kept) = @_;

    my $socket = IO::Socket::INET->new(Proto => 'tcp', PeerAddr => "127.0.0.1:$self->{port}")
        or Servers::give_up("cannot connect: $!");
    $self->{select}->add($socket);
    return $self->{open}{ fileno $socket } = { socket => $socket, kept => $kept };
}

# The answers that come before a time.
sub answers {
    my ($self, $before) = @_;
    my @answers;

    my $left = $before - time;
    for my $socket ($self->{select}->can_read($left > 0 ? $left : 0)) {
        my $connection = $self->{open}{ fileno $socket };
        my $more = sysread $socket, $connection->{got}, 16384, length $connection->{got};
        if (!$more) {
            $self->close($connection);
            $self->ask($connection->{due}, 0) if $connection->{due};
            next;
        }

        my ($head, $length)
            = $connection->{got} =~ /\A(.*?^Content-Length: (\d+)\r\n.*?\r\n)\r\n/ms or next;
        next if length $connection->{got} < length($head) + 2 + $length;
        push @answers, [$connection->{due}, time - $connection->{due}, $connection->{kept}, $head,
            $connection->{late}];
        $connection->{due} = 0;
        $connection->{got} = '';
        if ($head =~ /^Connection: close/m) {
            $self->close($connection);
        } else {
            push @{ $self->{idle} }, $connection;
        }
    }

    return @answers;
}

sub close {
    my ($self, $connection) = @_;

    $self->{select}->remove($connection->{socket});
    delete $self->{open}{ fileno $connection->{socket} };
    @{ $self->{idle} } = grep { $_ != $connection } @{ $self->{idle} };
    close $connection->{socket};
}

1;
