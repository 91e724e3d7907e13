#!/usr/bin/perl

# Test for demo/run, with the configuration that it shows, on the ports of this test. Without it,
# `make demo`, the first thing that many see of the module, fails when that configuration changes.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;

my $t = Test::Nginx->new()->has(qw/http proxy/);
my ($module) = ($ENV{TEST_NGINX_GLOBALS} // '') =~ /load_module (\S+);/;
plan(skip_all => 'the module is linked in') unless defined $module;
$t->plan(3);

my $top = "$FindBin::Bin/..";
open my $input, '<', "$top/nginx-conf/query.conf" or die "Can't read query.conf: $!";
my $text = do { local $/; <$input> };
my $ports = $text =~ s/127\.0\.0\.1:(\d+)/'127.0.0.1:' . port($1)/ger;
$t->write_file('query.conf', $ports);
my $dir = $t->testdir();
my $said = `$top/demo/run --config $dir/query.conf --sessions 8 --steps 8 $module $ENV{NGINX_FOR_TESTS} 2>&1`;
is($?, 0, 'exit status') or diag($said);
like($said, qr/^  with sticky\s+0 /m, 'no session breaks');
like($said, qr/^  round robin\s+[1-9]/m, 'without the module some do');
