#!/usr/bin/perl

# Test for demo/cluster, with the configuration that it shows, nginx-conf/cluster.conf, on the ports of
# this test. Without it what we publish for several nginx could be refused, or lose sessions.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;

use Sticky::Store;

my $t = Test::Nginx->new()->has(qw/http proxy/);
my ($module) = ($ENV{TEST_NGINX_GLOBALS} // '') =~ /load_module (\S+);/;
plan(skip_all => 'the module is linked in') unless defined $module;
plan(skip_all => Sticky::Store::missing()) unless defined Sticky::Store::program();
$t->plan(4);

my $top = "$FindBin::Bin/..";
open my $input, '<', "$top/nginx-conf/cluster.conf" or die "Can't read cluster.conf: $!";
my $text = do { local $/; <$input> };
my $ports = $text =~ s/(server +127\.0\.0\.1:)(\d+)/$1 . port($2)/ger;
$t->write_file('cluster.conf', $ports);
my ($dir, $one, $two, $store) = ($t->testdir(), port(8080), port(8090), port(8079));
my $said = `$top/demo/cluster --config $dir/cluster.conf --fronts 127.0.0.1:$one,127.0.0.1:$two --store 127.0.0.1:$store --sessions 24 --steps 12 --pause 0.3 $module $ENV{NGINX_FOR_TESTS} 2>&1`;
is($?, 0, 'exit status') or diag($said);
like($said, qr/the store is killed.*the store is back, empty/s, 'the store dies and comes back');
like($said, qr/^  shared\s+0 /m, 'no session breaks where they are shared');
like($said, qr/^  apart\s+[1-9]/m, 'some do where they are not');
