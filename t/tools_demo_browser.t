#!/usr/bin/perl

# Tests for the page of demo/run --keep in a browser: its squares are the requests of the log, even where
# the log comes late; else the page shows something that did not happen.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;

use File::Spec;

my $modules = ($ENV{STICKY_BROWSER} // "$FindBin::Bin/../target/browser") . '/node_modules';
my ($node) = grep { -x } map { "$_/node" } File::Spec->path();
if (my ($missing) = grep { !-e } '/usr/bin/chromium', "$modules/playwright-core") {
    plan(skip_all => "no $missing, see tools/test-browser");
}
plan(skip_all => 'no node, see tools/test-browser') unless $node;

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

$ENV{NODE_PATH} = $modules;
open my $browser, '-|', $node, "$FindBin::Bin/browser/demo.js", $base // '' or die "Can't run node: $!";
while (my $line = <$browser>) {
    if ($line =~ /^(not )?ok - (.*)$/) {
        ok(!$1, $2);
    } else {
        diag($line =~ s/^# //r);
    }
}
ok(close $browser, 'to the end');

kill TERM => $pid;
1 while <$demo>;
close $demo;
