package Figures;

# What a benchmark prints: tables in Markdown, as they stand in docs/performance.md.

use strict;
use warnings;

use List::Util qw/ max /;

use Servers;

# The value below which a share of the values lies.
sub quantile {
    my ($share, @values) = @_;

    my @sorted = sort { $a <=> $b } @values;
    my $at = $share * $#sorted;
    my $below = $sorted[int $at];
    my $above = $sorted[int($at) + 1] // $below;

    return $below + ($at - int $at) * ($above - $below);
}

sub median { return quantile(0.5, @_) }

# 1234567 as 1,234,567.
sub grouped {
    my $number = reverse sprintf '%.0f', $_[0];
    $number =~ s/(\d{3})(?=\d)/$1,/g;
    # Of little less than nothing.
    $number = '0' if $number eq '0-';
    return scalar reverse $number;
}

# Rows of cells, the first one the heads; all columns but the first are numbers.
sub table {
    my ($heads, @rows) = @_;

    my @columns = 0 .. $#$heads;
    my @widths = map { my $at = $_; max map { length($_->[$at] // '') } $heads, @rows } @columns;
    my $line = sub {
        my ($cells) = @_;
        my @padded
            = map { sprintf $_ ? "%$widths[$_]s" : "%-$widths[$_]s", $cells->[$_] // '' } @columns;
        return '| ' . join(' | ', @padded) . " |\n";
    };
    my @rules = map { '-' x ($widths[$_] + 1) . ($_ ? ':' : '-') } @columns;

    return join '', $line->($heads), '|' . join('|', @rules) . "|\n", map { $line->($_) } @rows;
}

# nginx's version, the machine, and the rest of what a figure depends on, in one line.
sub conditions {
    my ($nginx) = @_;

    my ($version) = `"$nginx" -v 2>&1` =~ m{nginx/(\S+)};
    my ($model) = Servers::read_file('/proc/cpuinfo') =~ /^model name\s*:\s*(.*)/m;
    my ($kernel) = Servers::read_file('/proc/sys/kernel/osrelease') =~ /(\S+)/;
    my $processors = () = Servers::read_file('/proc/cpuinfo') =~ /^processor\s*:/mg;

    return sprintf 'nginx %s; %s, %d processors, Linux %s; load average before %s', $version // '?',
        $model // 'unknown processor', $processors, $kernel,
        (split / /, Servers::read_file('/proc/loadavg'))[0];
}

1;
