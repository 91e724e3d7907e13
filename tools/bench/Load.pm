package Load;

# Runs wrk with load.lua, on the processors that the measured worker does not have.

use strict;
use warnings;

use Cwd qw/ abs_path /;
use File::Basename qw/ dirname /;

use Servers;

use constant CONNECTIONS => 32;

my $script = dirname(abs_path(__FILE__)) . '/load.lua';

# For wrk -s load.lua; $options: sessions, file, connections, seconds (for ever), first. Returns the
# fields of its result.
sub run {
    my ($servers, $port, $kind, $options) = @_;

    my @command = ('taskset', '-c', $servers->others(), 'wrk', '-t1',
        '-c', $options->{connections} // CONNECTIONS, '-d', ($options->{seconds} // 3600) . 's',
        '--timeout', '10s', '-s', $script, "http://127.0.0.1:$port", '--',
        $kind, $options->{sessions}, $options->{file}, $options->{first} // 0);

    my $pid = open(my $output, '-|', @command) || Servers::give_up("cannot run wrk: $!");
    $servers->keep($pid);
    my $said = do { local $/; <$output> // '' };
    close $output;
    $servers->release($pid);
    my ($line) = $said =~ /^result (.*)/m or Servers::give_up("wrk failed: @command\n$said");
    my %result = $line =~ /(\w+)=(\d+)/g;
    Servers::give_up("$result{failed} of $result{requests} requests failed: @command\n$said")
        if $result{failed};

    return \%result;
}

1;
