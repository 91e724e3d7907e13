package Sticky::Worker;

# What a worker process of nginx takes: memory and time of the processor.

use strict;
use warnings;

use Exporter qw/ import /;
use Time::HiRes qw/ sleep /;

use Sticky::Client;

our @EXPORT = qw/ memory_of peak_of cpu_of idle /;

# Memory that is its own, in KB.
sub memory_of {
    my ($pid) = @_;
    return read_of("/proc/$pid/status") =~ /^RssAnon:\s*(\d+)/m ? $1 : 0;
}

# The most memory that it has had at once, files and what it shares included, in KB.
sub peak_of {
    my ($pid) = @_;
    return read_of("/proc/$pid/status") =~ /^VmHWM:\s*(\d+)/m ? $1 : 0;
}

# Time for which it has run, in seconds.
sub cpu_of {
    my ($pid) = @_;
    return (split ' ', read_of("/proc/$pid/schedstat"))[0] / 1e9;
}

# Waits until it does hardly anything, since everything that it has to do waits for somebody else.
sub idle {
    my ($pid) = @_;
    return eventually(sub {
        my $before = cpu_of($pid);
        sleep 1;
        return cpu_of($pid) - $before < 0.005;
    });
}

sub read_of {
    my ($name) = @_;
    open my $file, '<', $name or die "Can't open $name: $!";
    local $/;
    return <$file> // '';
}

1;
