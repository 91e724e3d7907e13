#!/usr/bin/perl

# Tests for README's table of applications; without these, a line of it could be refused by nginx or
# give warnings, be run by no test, or differ from that of the file beside it.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Configuration qw/ prepare verdict /;
use Sticky::Readme qw/ applications published published_text sticky_lines text /;

my @applications = applications();
my $t = Test::Nginx->new()->has(qw/ http proxy map upstream_zone /)->plan(3 + 2 * @applications);
prepare($t);

cmp_ok(scalar @applications, '>', 35, scalar @applications . ' lines');

# Where a test runs a file, it names it; a pattern has the name of its row.
my %runs = (
    file => join('', map { text($_) } glob "$FindBin::Bin/apps/*.t $FindBin::Bin/sticky_patterns_*.t"),
    line => join('', map { text($_) } glob "$FindBin::Bin/sticky_patterns_*.t"),
);

my (%in_table, %named);
for (@applications) {
    my ($application, $line, $file) = @$_{qw/ application line file /};
    is(verdict($t, http_block($line)), '', "$application: accepted without a warning");
    if ($file) {
        push @{ $in_table{$file} }, $line;
        my @lines = without_expires(sticky_lines(published_text($file)));
        is_deeply([grep({ $_ eq $line } @lines), $runs{file} =~ /'(\Q$file\E)'/], [$line, $file],
            "$application: as in $file, which a test runs");
    } else {
        like($runs{line}, qr/'\Q$application\E'/, "$application: run by a test of patterns");
    }
}

# The other way round, too: of each file all lines. The three modes, the log, the router, the page for
# operators and the cluster are no applications, and both files for PHP have one line.
my %no_application = map { $_ => 1 }
    qw/ query.conf cookie.conf rewrite.conf log.conf router.conf status.conf cluster.conf /;
my @unnamed = grep { text("$FindBin::Bin/../README.md") !~ /\(nginx-conf\/\Q$_\E\)/ } published();
is_deeply(\@unnamed, [], 'every file is named');
$in_table{'php-fpm.conf'} = $in_table{'php.conf'};
my @missing = grep { my $file = $_; !$no_application{$file} && grep {
    my $line = $_; !grep { $_ eq $line } @{ $in_table{$file} // [] }
} without_expires(sticky_lines(published_text($file))) } published();
is_deeply(\@missing, [], 'and every line of it');

# Which idle time fits is said by the files alone.
sub without_expires { return map { s/ expires=\w+//r } @_ }

# An upstream with the line, and what it needs.
sub http_block {
    my ($line) = @_;
    my %variables = map { $_ => 1 } $line =~ /\$(\w+)/g;
    my $maps = join '', map { "map \$args \$$_ { default \"\"; }\n" } sort keys %variables;
    return "${maps}upstream u {\n$line\nserver 127.0.0.1:9;\nserver 127.0.0.1:10;\n}\n";
}
