package Sticky::Net;

# Hosts for a test, as network namespaces, on networks that are bridges in a namespace of the test
# itself. Nothing of it is seen outside; needs Linux, root and `ip`.
#
#     if (my $why = Sticky::Net::enter()) { plan(skip_all => $why) }      # before all else
#     my $net = Sticky::Net->new(front => '10.77.0', back => '10.88.0');  # the test is .1 on both
#     my $host = $net->host('a', 11);                                     # .11 on both
#     exec $host->prefix(), @command;
#     $net->cut($host, 'back'); $net->mend($host, 'back');

use strict;
use warnings;

use FindBin;
use POSIX ();

use Sticky::Client qw/ eventually /;

# Says to the test, run again, that it has a namespace of its own.
use constant OUTSIDE => 'STICKY_NET_OUTSIDE';

# Runs the test again in a namespace of its own. Returns why there is none.
sub enter {
    my $here = readlink '/proc/self/ns/net' // return 'no network namespaces on this system';
    if (defined(my $outside = delete $ENV{+OUTSIDE})) {
        return 'unshare has made no network namespace' if $outside eq $here;
        ip(qw/ link set lo up /);
        return undef;
    }
    return 'network namespaces: not as another user than root' if $> != 0;
    for my $program (qw/ ip unshare nsenter /) {
        return "$program not found" if !grep { -x "$_/$program" } split(/:/, $ENV{PATH} // '');
    }
    my $probe = 'ip link add probe type bridge && ip link add probe0 type veth peer name probe1';
    my $said = `unshare --net sh -c '$probe' 2>&1`;
    return 'no network namespace with a bridge can be made: ' . $said =~ s/\s+/ /gr if $?;
    $ENV{+OUTSIDE} = $here;
    exec 'unshare', '--net', $^X, "$FindBin::RealBin/$FindBin::RealScript", @ARGV
        or die "Can't run unshare: $!\n";
}

# Networks by their names, with the first three numbers of their addresses.
sub new {
    my ($class, %networks) = @_;
    for my $name (sort keys %networks) {
        ip(qw/ link add /, $name, qw/ type bridge /);
        ip(qw/ addr add /, "$networks{$name}.1/24", 'dev', $name);
        ip(qw/ link set /, $name, 'up');
    }
    return bless { networks => \%networks }, $class;
}

# A host on all of them, with that last number of its addresses.
sub host {
    my ($self, $name, $number) = @_;
    my $pid = fork() // die "Can't fork: $!";
    if ($pid == 0) {
        exec qw/ unshare --net sleep infinity / or POSIX::_exit(127);
    }
    my $host = bless { pid => $pid, name => $name, number => $number, net => $self, owner => $$ },
        'Sticky::Net::Host';
    my $own = readlink '/proc/self/ns/net';
    eventually(sub { (readlink("/proc/$pid/ns/net") // $own) ne $own }) or die "no namespace\n";
    $host->ip(qw/ link set lo up /);
    for my $network (sort keys %{ $self->{networks} }) {
        my $port = "$network-$name";
        ip(qw/ link add /, $port, qw/ type veth peer name /, $network, 'netns', $pid);
        ip(qw/ link set /, $port, 'master', $network, 'up');
        $host->ip(qw/ addr add /, $host->address($network) . '/24', 'dev', $network);
        $host->ip(qw/ link set /, $network, 'up');
    }
    return $host;
}

# The host's line to that network is cut, and whole again. What is on its way is lost.
sub cut { return ip(qw/ link set /, "$_[2]-$_[1]{name}", 'down') }
sub mend { return ip(qw/ link set /, "$_[2]-$_[1]{name}", 'up') }

sub ip {
    my @command = ('ip', @_);
    system(@command) == 0 or die "@command has failed\n";
    return 1;
}

package Sticky::Net::Host;

# What runs a command there.
sub prefix { return ('nsenter', "--net=/proc/$_[0]{pid}/ns/net") }

sub address {
    my ($self, $network) = @_;
    return "$self->{net}{networks}{$network}.$self->{number}";
}

sub ip {
    my ($self, @words) = @_;
    my @command = ($self->prefix(), 'ip', @words);
    system(@command) == 0 or die "@command has failed\n";
    return 1;
}

# Its programs have been ended by then.
sub DESTROY {
    my ($self) = @_;
    return if $self->{owner} != $$;
    local $?;
    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
}

1;
