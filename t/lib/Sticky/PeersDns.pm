package Sticky::PeersDns;

# A DNS server whose names get other addresses while a test runs, for `server NAME resolve`.
#
# The records are lines NAME ADDRESS… in the file dns in the test's folder, which is read for each
# query; a name that is not there does not exist. Where a line says NAME flap ADDRESS…, each answer
# has a random choice of these addresses, now and then none.

use strict;
use warnings;

use Exporter qw/ import /;
use IO::Socket::INET;
use List::Util qw/ shuffle /;

our @EXPORT_OK = qw/ dns_server set_names /;

sub set_names {
    my ($t, %names) = @_;
    $t->write_file('dns.new', join '', map { "$_ @{ $names{$_} }\n" } sort keys %names);
    # The server must not read half of it.
    rename $t->testdir() . '/dns.new', $t->testdir() . '/dns' or die "Can't rename: $!";
}

# For run_daemon(): answers on this port.
sub dns_server {
    my ($port, $folder) = @_;
    my $socket = IO::Socket::INET->new(Proto => 'udp', LocalAddr => "127.0.0.1:$port")
        or die "Can't listen: $!";

    while (1) {
        my $from = $socket->recv(my $query, 512) or next;
        next if length $query < 17;
        my ($id, $flags) = unpack 'n n', $query;
        my ($question, @labels) = (substr $query, 12);
        my $at = 0;
        while (my $length = ord substr $question, $at, 1) {
            push @labels, substr $question, $at + 1, $length;
            $at += 1 + $length;
        }
        my $type = unpack 'n', substr $question, $at + 1, 2;
        $question = substr $question, 0, $at + 5;

        my $found = look_up($folder, lc join '.', @labels);
        # A, class IN, a second to live, four bytes; the name is the one at offset 12.
        my @answers = map { pack 'n n n N n C4', 0xc00c, 1, 1, 1, 4, split /\./ }
            $type == 1 && $found ? @$found : ();
        # An answer, recursive; 3 is NXDOMAIN.
        my $header = pack 'n6', $id, 0x8180 | ($found ? 0 : 3), 1, scalar @answers, 0, 0;
        $socket->send(join('', $header, $question, @answers), 0, $from);
    }
}

# The addresses of a name; undef when there is no such name.
sub look_up {
    my ($folder, $name) = @_;
    open my $file, '<', "$folder/dns" or return undef;
    my ($line) = grep { /^\Q$name\E / } <$file>;
    return undef unless $line;
    my (undef, @addresses) = split ' ', $line;
    if (@addresses && $addresses[0] eq 'flap') {
        shift @addresses;
        my $chance = rand;
        @addresses = shuffle(grep { rand() < $chance } @addresses);
        return undef if !@addresses && rand() < 0.5;
    }
    return \@addresses;
}

1;
