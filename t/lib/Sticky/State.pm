package Sticky::State;

# What the tests of state files share: to end nginx in each of the ways in which it may end, and to
# ask what its log says of the file.

use strict;
use warnings;

use Compress::Zlib qw/ crc32 /;
use Exporter qw/ import /;
use Time::HiRes qw/ sleep /;

use Test::Nginx;
use Sticky::Client;
use Sticky::Nginx;

our @EXPORT = qw/
    master ended end_all started restarted log_lines flaw file_size mode_of changed
/;
our @EXPORT_OK = qw/ status_of /;

sub master {
    my ($t) = @_;
    my $pid;
    # nginx makes the file before it writes into it.
    eventually(sub { ($pid) = $t->read_file('nginx.pid') =~ /(\d+)/ });
    return $pid;
}

# Sends the signal to the master, KILL to the workers too, and waits until all of them are gone.
sub ended {
    my ($t, $signal) = @_;
    my @all = (master($t), workers($t));
    if ($signal eq 'KILL') {
        # A worker that takes the place of a killed one may not be in the log yet; stopped, the
        # master starts no more.
        kill 'STOP', $all[0];
        @all = ($all[0], children($all[0]));
        kill 'KILL', @all;
    } else {
        kill $signal, $all[0];
    }
    my $gone = eventually(sub {
        waitpid $all[0], 1;
        return !grep { kill 0, $_ } @all;
    });
    # A master that was killed has left it.
    unlink $t->testdir() . '/nginx.pid';
    return $gone;
}

# Kills every process that has a file in the directory open, as each nginx has its log, and whatever
# such a process has started meanwhile.
sub end_all {
    my ($dir) = @_;
    while (my @all = grep { $_ != $$ && uses($_, $dir) } map { m!(\d+)! } glob '/proc/[0-9]*') {
        kill 'KILL', @all;
        sleep 0.02;
    }
}

# Whether the process has a file in the directory open.
sub uses {
    my ($pid, $dir) = @_;
    return grep { (readlink // '') =~ m!^\Q$dir\E/! } glob "/proc/$pid/fd/*";
}

# The processes that this one has started.
sub children {
    my ($parent) = @_;
    return grep { (status_of($_) // '') =~ /^PPid:\s*$parent$/m } map { m!(\d+)! } glob '/proc/[0-9]*';
}

sub status_of {
    my ($pid) = @_;
    open my $file, '<', "/proc/$pid/status" or return;
    local $/;
    return scalar <$file>;
}

# Starts nginx, which repeats on standard error what it has against a file.
sub started {
    my ($t) = @_;
    open my $saved, '>&', \*STDERR or die "Can't save stderr: $!";
    open STDERR, '>', '/dev/null' or die "Can't silence stderr: $!";
    my $started = eval { $t->run() };
    open STDERR, '>&', $saved or die "Can't restore stderr: $!";
    return $started;
}

sub restarted {
    my ($t, $signal) = @_;
    my $gone = ended($t, $signal);
    $t->run();
    return $gone;
}

# The lines of the log about state files, from the given one on, without what the system calls an
# error and without the directory. In scalar context, how many.
sub log_lines {
    my ($t, $from) = @_;
    my $dir = $t->testdir();
    my @lines = $t->read_file('error.log') =~ /\[\w+\] .*?(sticky: state file .*)$/mg;
    s/\Q$dir\E\///g for @lines;
    splice @lines, 0, $from // 0;
    return @lines;
}

# What is wrong with a state file, by its bytes alone; nothing when it is whole.
sub flaw {
    my ($file) = @_;
    open my $input, '<:raw', $file or return 'not there';
    local $/;
    my $bytes = <$input>;
    return 'cut short' if length $bytes < 64;
    return 'no state file' if substr($bytes, 0, 16) ne "sticky\n\0" . pack 'Q<', 2;
    my ($at, $sections) = (64, 0);
    return 'a wrong sum of the header' if unpack('Q<', substr $bytes, 56) != crc32(substr $bytes, 0, 56);
    while (1) {
        return 'cut short' if length $bytes < $at + 16;
        my ($kind, $sum, $length) = unpack 'V V Q<', substr $bytes, $at;
        return 'cut short' if length $bytes < $at + 16 + $length;
        my $body = substr $bytes, $at + 16, $length;
        return 'a wrong sum' if $sum != crc32(pack('V Q<', $kind, $length) . $body);
        $at += 16 + $length;
        if ($kind == 0) {
            return 'a wrong number of sections' if $body ne pack 'Q<', $sections;
            return $at == length $bytes ? '' : 'something after it';
        }
        return "an unknown section, $kind" if $kind > 2;
        return 'half a record' if $length % 16;
        $sections++;
    }
}

# The size of a file with so many servers and sessions, few enough for one section each.
sub file_size {
    my ($servers, $sessions) = @_;
    return 64 + ($servers && 16 + $servers * 16) + ($sessions && 16 + $sessions * 16) + 24;
}

# Permissions of a file, in octal.
sub mode_of {
    my ($file) = @_;
    return sprintf '%o', (stat $file)[2] & 07777;
}

# Waits until the file has been replaced.
sub changed {
    my ($file, $act) = @_;
    my $inode = sub { return join ' ', map { $_ // '' } (stat $file)[1, 9, 7] };
    my $before = $inode->();
    $act->();
    return eventually(sub { my $now = $inode->(); return $now =~ /\d/ && $now ne $before });
}

1;
