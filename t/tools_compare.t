#!/usr/bin/perl

# Tests for t/apps/haproxy, which `make compare-apps` runs HAProxy with; without them a comparison
# with HAProxy could be one with a configuration that it does not take, or that no test uses.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Upgrade;

my @files = glob 'apps/haproxy/*.cfg';

my $t = Test::Nginx->new()->plan(1 + 3 * @files);

cmp_ok(scalar @files, '>=', 16, 'configurations for HAProxy');

for my $file (@files) {
    my $text = read_text($file);
    my ($name) = $file =~ /([^\/]+)\.cfg$/;

    # What the table says of each walk.
    my @said = $text =~ /^#= (.*)$/mg;
    is(scalar(grep { split(/ \| /) == 4 } @said), scalar(@said) || 'none',
        "$name: each walk has its application, its client and its words");

    # Of these one has the walks.
    my @tests = grep { index(read_text($_), "'$name.conf'") >= 0 } glob 'apps/*.t';
    ok(-e "../nginx-conf/$name.conf" && @tests, "$name: nginx-conf/$name.conf is that of a test");

    SKIP: {
        my $answer = checked_by($t, $text, 'haproxy', '-c', '-f', 'FILE');
        skip 'haproxy is not installed', 1 unless defined $answer;
        is($answer =~ s/^Configuration file is valid\n//r, '', "$name: HAProxy takes it");
    }
}

sub read_text {
    my ($path) = @_;
    open my $file, '<', $path or die "Can't open $path: $!";
    local $/;
    return scalar <$file>;
}
