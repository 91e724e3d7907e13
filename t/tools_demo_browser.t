#!/usr/bin/perl

# Tests for the page of demo/run --keep in a browser: its squares are the requests of the log, even where
# the log comes late; else the page shows something that did not happen.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Browser qw/ missing in_browser /;

my $missing = missing('playwright-core');
plan(skip_all => "no $missing, see tools/test-browser") if $missing;

my $t = Test::Nginx->new()->has(qw/http proxy/);
my ($module) = ($ENV{TEST_NGINX_GLOBALS} // '') =~ /load_module (\S+);/;
plan(skip_all => 'the module is linked in') unless defined $module;
$t->plan(3);

my $pid = open(my $demo, '-|', "$FindBin::Bin/../demo/run", '--keep', $module, $ENV{NGINX_FOR_TESTS})
    // die "Can't start the demo: $!";
my $base;
while (!defined $base) {
    my $line = <$demo> // last;
    ($base) = $1 if $line =~ m{(http://127\.0\.0\.1:\d+)/};
}

in_browser('demo.js', $base // '');

kill TERM => $pid;
1 while <$demo>;
close $demo;
