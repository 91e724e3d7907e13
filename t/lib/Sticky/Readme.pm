package Sticky::Readme;

# README's table of applications: which line, and which file of nginx-conf/, is for which.

use strict;
use warnings;

use Cwd qw/ abs_path /;
use Exporter qw/ import /;
use File::Basename qw/ dirname /;

our @EXPORT_OK = qw/ applications published published_text sticky_lines text /;

my $root = dirname(abs_path(__FILE__)) . '/../../..';

# The rows that have a line: application, line, and the file, if there is one.
sub applications {
    my @rows;
    for (split /\n/, text("$root/README.md")) {
        my ($application, $line, $more) = /^\| ([^|]+?) \| `(sticky\b[^`]*;)` \|(.*)\|$/ or next;
        my ($file) = $more =~ /\]\(nginx-conf\/([^)]+)\)/;
        push @rows, { application => $application, line => $line, file => $file };
    }
    return @rows;
}

# The files of nginx-conf/.
sub published { return map { /([^\/]+)$/ } sort glob "$root/nginx-conf/*.conf" }

sub published_text { return text("$root/nginx-conf/$_[0]") }

# The sticky directives of a configuration, each in a line.
sub sticky_lines {
    my ($text) = @_;
    return map { s/\s+/ /gr } $text =~ /^ *(sticky\b[^;]*;)/mg;
}

sub text {
    my ($name) = @_;
    open my $file, '<', $name or die "Can't open $name: $!";
    local $/;
    return scalar <$file>;
}

1;
