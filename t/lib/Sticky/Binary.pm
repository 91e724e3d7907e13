package Sticky::Binary;

# An upgrade of nginx's binary: two masters side by side, each with its workers.
#
# nginx refuses to upgrade while the process that has started it is there, so it is a daemon, and no
# child of the test: a test calls end_all() of Sticky::State at its end, whatever happens.

use strict;
use warnings;

use Exporter qw/ import /;

use Test::Nginx;
use Sticky::Client;
use Sticky::State;

our @EXPORT = qw/ daemon_runs can_upgrade upgraded all_gone workers_of /;

# Starts nginx, with two workers. Where the process that was started has left before its child has
# written the file, the library takes that for a failure.
sub daemon_runs {
    my ($t) = @_;
    eval { $t->run() };
    return eventually(sub {
        my ($master) = masters($t, 'nginx.pid');
        return defined $master && workers_of($t, $master) == 2;
    });
}

# Whether nginx can start itself again: not if it was started by way of a dynamic linker that is not
# the system's.
sub can_upgrade {
    my ($t) = @_;
    return (readlink('/proc/' . master($t) . '/exe') // '') !~ /\/ld-[^\/]*$/;
}

# Starts another nginx beside the one that serves, and returns the number of that one.
sub upgraded {
    my ($t) = @_;
    my ($old) = masters($t, 'nginx.pid');
    kill 'USR2', $old;
    return eventually(sub {
        my ($new) = masters($t, 'nginx.pid', 'nginx.pid.oldbin');
        return defined $new && $new != $old && workers_of($t, $new) == 2;
    }) && $old;
}

# Whether these processes end.
sub all_gone {
    my @pids = @_;
    return eventually(sub { !grep { kill 0, $_ } @pids });
}

# The workers of one of the two: the log says who has started whom.
sub workers_of {
    my ($t, $master) = @_;
    my %started = map { $_ => 1 }
        contents($t, 'error.log') =~ /\b$master#\d+: start worker process (\d+)/g;
    return grep { kill 0, $_ } sort keys %started;
}

# The masters that these files name, where they are all there.
sub masters {
    my ($t, @names) = @_;
    my @pids = map { contents($t, $_) =~ /(\d+)/ } @names;
    return @pids == @names ? @pids : ();
}

sub contents {
    my ($t, $name) = @_;
    open my $file, '<', $t->testdir() . "/$name" or return '';
    local $/;
    return <$file> // '';
}

1;
