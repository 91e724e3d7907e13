package Sticky::Browser;

# Tests that drive Chromium by a script of t/browser, which prints a line for each check.

use strict;
use warnings;

use Exporter qw/ import /;
use File::Spec;
use FindBin;
use Test::More;

our @EXPORT_OK = qw/ missing in_browser /;

my $modules = ($ENV{STICKY_BROWSER} // "$FindBin::Bin/../target/browser") . '/node_modules';
my ($node) = grep { -x } map { "$_/node" } File::Spec->path();

# What is not there of what these scripts need, or undef.
sub missing {
    my (@packages) = @_;
    return 'node' unless $node;
    my ($missing) = grep { !-e } '/usr/bin/chromium', map { "$modules/$_" } @packages;
    return $missing;
}

# Runs a script; each of its checks is one here, and so is its end.
sub in_browser {
    my ($script, @arguments) = @_;

    local $ENV{NODE_PATH} = $modules;
    open my $browser, '-|', $node, "$FindBin::Bin/browser/$script", @arguments or die "Can't run node: $!";
    while (my $line = <$browser>) {
        if ($line =~ /^(not )?ok - (.*)$/) {
            ok(!$1, $2);
        } else {
            diag($line =~ s/^# //r);
        }
    }
    return ok(close $browser, 'to the end');
}

1;
