package Sticky::Counters;

# What the module has counted, as a test reads it: by upstream and status, or upstream and server.
#
# A module with test points shows it in the variable $sticky_counters, which a location /counters of
# the configuration returns.

use strict;
use warnings;

use Exporter qw/ import /;

use Sticky::Client;

our @EXPORT = qw/ sums shows_counters added in_words /;

# Whether the module under test shows its counters: `make test-killed` says so.
sub shows_counters { return $ENV{TEST_NGINX_TEST_POINTS} }

# { upstream => { since => N, HIT => N, '127.0.0.1:8081' => N, … }, … }; of servers whose sessions have
# been counted also '127.0.0.1:8081/in_use', not_in_use, last_use and counted. To ask starts a count.
sub sums {
    my ($text) = get('/counters') =~ /\x0d\x0a\x0d\x0a(.*)/s;
    my %sums;
    for (split /;/, $text // '') {
        my ($upstream, @pairs) = split ' ';
        $sums{$upstream} = { map { /^(.+)=(\d+)$/ ? ($1 => $2) : () } @pairs };
    }
    return \%sums;
}

# What was counted of an upstream between two readings, in words: 'HIT=2 NONE=1'.
sub added {
    my ($before, $after, $upstream) = @_;
    my %new = %{ $after->{$upstream} // {} };
    $new{$_} -= $before->{$upstream}{$_} // 0 for keys %new;
    delete @new{qw/ since grown /, grep { m!/! } keys %new};
    return in_words(\%new);
}

# Counts that are not 0, those of statuses first.
sub in_words {
    my ($counts) = @_;
    my @keys = sort { ($a =~ /:/) <=> ($b =~ /:/) || $a cmp $b } grep { $counts->{$_} } keys %$counts;
    return join ' ', map { "$_=$counts->{$_}" } @keys;
}

1;
