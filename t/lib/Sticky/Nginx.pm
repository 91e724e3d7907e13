package Sticky::Nginx;

# The processes of the nginx under test: which workers there are, and how they change with a reload.

use strict;
use warnings;

use Exporter qw/ import /;

use Sticky::Client;

our @EXPORT = qw/ workers reload_with reloaded stopped_listening /;

# The numbers of the worker processes that are alive.
sub workers {
    my ($t) = @_;
    my %started = map { $_ => 1 } $t->read_file('error.log') =~ /start worker process (\d+)/g;
    return grep { kill 0, $_ } sort keys %started;
}

# Waits until these processes take no connections any more, though they may go on with those that
# they have: which process serves the next request is certain only then. True when that is so.
sub stopped_listening {
    my @pids = @_;
    return eventually(sub {
        open my $table, '<', '/proc/net/tcp' or die "Can't open /proc/net/tcp: $!";
        # The state of a socket that listens is 0A.
        my %listens = map { /^\s*\d+: \w+:\w+ \w+:\w+ 0A (?:\S+ +){5}(\d+) / ? ("socket:[$1]" => 1) : () }
            <$table>;
        return !grep { my $pid = $_; grep { $listens{ readlink // '' } } glob "/proc/$pid/fd/*" } @pids;
    });
}

# Reloads with another configuration, and returns true when its workers alone are left.
sub reload_with {
    my ($t, $configuration) = @_;
    $t->write_file_expand('nginx.conf', $configuration);
    return reloaded($t);
}

# The same with the configuration as it is: one that was read from the file has its ports already.
sub reloaded {
    my ($t) = @_;
    my @old = workers($t);
    $t->reload();
    return eventually(sub {
        return !(grep { kill 0, $_ } @old) && workers($t);
    });
}

1;
