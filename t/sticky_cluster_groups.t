#!/usr/bin/perl

# Tests for the configuration in docs/scale.md that splits clients among groups of nodes; without them
# what we publish could be refused, or send a client now to the one group and now to the other.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;

my $t = Test::Nginx->new()->has(qw/ http proxy upstream_hash realip /)->plan(4);

open my $page, '<', "$FindBin::Bin/../docs/scale.md" or die "Can't read docs/scale.md: $!";
my ($text) = do { local $/; <$page> } =~ /^```nginx front\n(.*?)^```$/ms or die "no configuration in docs/scale.md\n";
my $dir = $t->testdir();
my ($group, %node) = (0);
# Four nodes, and where the client is, as the client says.
$text =~ s/\b10\.0\.(\d)\.(\d):80\b/$node{"$1$2"} = 1; "127.0.0.1:80$1$2"/ge;
$text =~ s/\blisten 80;/listen 127.0.0.1:8080; set_real_ip_from 127.0.0.1; real_ip_header X-Client;/;
$text =~ s/unix:\/run\//unix:$dir\//g;
$text =~ s/^http \{$/http {\n    %%TEST_GLOBALS_HTTP%%/m;
my $nodes = join '', map { "server { listen 127.0.0.1:80$_; add_header X-Server $_; return 200; }\n" } sort keys %node;
$text =~ s/\}\s*\z/$nodes}\n/;
$t->write_file_expand('nginx.conf', "%%TEST_GLOBALS%%\ndaemon off;\n$text");
$t->run();

is(scalar keys %node, 4, 'two groups of two nodes');
my %group_of;
my $is_split = 0;
for my $number (1 .. 200) {
    my $client = '192.0.2.' . $number;
    my %groups = map { substr(served_by(get('/', 'X-Client' => $client)), 0, 1) => 1 } 1 .. 4;
    $is_split++ if keys %groups != 1;
    ($group_of{$client}) = keys %groups;
}
is($is_split, 0, 'each client meets one group');
my %clients;
$clients{$_}++ for values %group_of;
is(join(' ', sort keys %clients), '1 2', 'both groups have clients');
my %nodes = map { served_by(get('/', 'X-Client' => '192.0.2.1')) => 1 } 1 .. 8;
is(scalar keys %nodes, 2, 'a client meets both nodes of its group');
