package Sticky::Link;

# A line that is slow: passes on what comes for a server on a unix socket, both ways, each piece as
# many seconds later as a file says, which may change meanwhile. For what has no netem.
#
#     my $link = Sticky::Link->new($t, listen => '10.88.0.2:6380', to => $store->socket(),
#         prefix => [$host->prefix()]);
#     $link->delay(0.2);

use strict;
use warnings;

use Cwd qw/ abs_path /;
use File::Basename qw/ dirname /;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX ();
use Socket qw/ IPPROTO_TCP TCP_NODELAY /;
use Time::HiRes qw/ time /;

# Bytes that may be on their way in one direction of a connection.
use constant MOST => 1 << 20;

# Seconds between two looks at what is due.
use constant BEAT => 0.002;

sub new {
    my ($class, $t, %options) = @_;
    my $file = $t->testdir() . '/link.delay';
    my $self = bless { file => $file, owner => $$ }, $class;
    $self->delay(0);
    my $lib = dirname(dirname(abs_path(__FILE__)));
    $self->{pid} = fork() // die "Can't fork: $!";
    if ($self->{pid} == 0) {
        exec @{ $options{prefix} // [] }, $^X, "-I$lib", '-MSticky::Link', '-e',
            'Sticky::Link::serve(@ARGV)', $options{listen}, $options{to}, $file
            or POSIX::_exit(127);
    }
    return $self;
}

# Seconds that each piece takes, from now on.
sub delay {
    my ($self, $seconds) = @_;
    open my $out, '>', "$self->{file}.new" or die "Can't write: $!";
    print {$out} $seconds;
    close $out;
    return rename "$self->{file}.new", $self->{file};
}

sub DESTROY {
    my ($self) = @_;
    return if $self->{owner} != $$ || !$self->{pid};
    local $?;
    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
}

# The process itself.
sub serve {
    my ($listen, $to, $file) = @_;
    my $listener = IO::Socket::INET->new(LocalAddr => $listen, Listen => 64, ReuseAddr => 1)
        or die "Can't listen: $!";
    local $SIG{PIPE} = 'IGNORE';
    my %ends;       # socket => { to, queue of [when, bytes], bytes in it, whether it was closed }
    while (1) {
        my $is_waiting = grep { @{ $_->{queue} } } values %ends;
        my @readable = map { $_->{from} } grep { !$_->{ended} && $_->{bytes} < MOST } values %ends;
        my @ready = IO::Select->new($listener, @readable)->can_read($is_waiting ? BEAT : 0.05);
        my $delay = delay_of($file);
        for my $from (@ready) {
            if ($from == $listener) {
                connect_to(scalar $from->accept(), $to, \%ends);
                next;
            }
            my $end = $ends{$from};
            my $count = sysread $from, my $bytes, 65_536;
            $end->{ended} = !$count;
            $end->{bytes} += $count // 0;
            # The end of a connection is a piece, too.
            push @{ $end->{queue} }, [time() + $delay, $count ? $bytes : undef];
        }
        pass_on(\%ends);
    }
}

sub delay_of {
    my ($file) = @_;
    open my $in, '<', $file or return 0;
    return <$in> || 0;
}

sub connect_to {
    my ($client, $to, $ends) = @_;
    return if !$client;
    # Without a server, the connection ends.
    my $server = IO::Socket::UNIX->new(Peer => $to) or return;
    setsockopt $client, IPPROTO_TCP, TCP_NODELAY, 1;
    $ends->{$client} = { from => $client, to => $server, queue => [], bytes => 0 };
    $ends->{$server} = { from => $server, to => $client, queue => [], bytes => 0 };
    $_->blocking(0) for $client, $server;
}

sub pass_on {
    my ($ends) = @_;
    my $now = time();
    # A copy, as connections end meanwhile.
    for my $end (my @all = values %$ends) {
        while (my $piece = $end->{queue}[0]) {
            my ($when, $bytes) = @$piece;
            last if $when > $now || !$ends->{ $end->{from} };
            if (!defined $bytes) {
                delete @$ends{ $end->{from}, $end->{to} };
                close $_ for $end->{from}, $end->{to};
                last;
            }
            my $written = syswrite $end->{to}, $bytes;
            if (!defined $written) {
                last if $!{EAGAIN};
                # Whoever is gone needs no more.
                shift @{ $end->{queue} };
                next;
            }
            $end->{bytes} -= $written;
            $piece->[1] = substr $bytes, $written;
            shift @{ $end->{queue} } if $written == length $bytes;
        }
    }
}

1;
