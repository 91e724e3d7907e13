package Sticky::Counters;

# What the module has counted, as a test reads it, by upstream: from the JSON of a location /sticky with
# sticky_status.

use strict;
use warnings;

use Exporter qw/ import /;
use JSON::PP qw/ decode_json /;

use Test::Nginx qw/ http_content /;
use Sticky::Client;

our @EXPORT = qw/ sums added in_words /;

# { upstream => { since => N, HIT => N, 'learned/html' => N, '127.0.0.1:8081' => N, … }, … }; of servers
# whose sessions have been counted also '127.0.0.1:8081/in_use', unused, counted and last_use. To ask
# starts a count.
sub sums {
    my $json = eval { decode_json(http_content(get('/sticky/json'))) } or return {};
    my %sums;
    for my $upstream (@{ $json->{upstreams} }) {
        my %own = (since => $upstream->{since}, grown => $upstream->{grown} // 0, %{ $upstream->{requests} });
        for my $what (qw/ learned skipped moved forgotten /) {
            my $counts = $upstream->{$what} // {};
            $own{"$what/$_"} = $counts->{$_} for keys %$counts;
        }
        for my $server (@{ $upstream->{servers} }) {
            my ($name, $sessions) = @$server{qw/ name sessions /};
            $own{$name} = $server->{hits};
            $own{"$name/$_"} = $sessions->{$_} for $sessions ? keys %$sessions : ();
            $own{"$name/last_use"} = $server->{last_use} if $server->{last_use};
        }
        $sums{ $upstream->{name} } = \%own;
    }
    return \%sums;
}

# What was counted of an upstream between two readings, in words: 'HIT=2 NONE=1 127.0.0.1:8081=2'.
sub added {
    my ($before, $after, $upstream) = @_;
    my %new = %{ $after->{$upstream} // {} };
    $new{$_} -= $before->{$upstream}{$_} // 0 for keys %new;
    delete @new{qw/ since grown /, grep { m!:\d+/! } keys %new};
    return in_words(\%new);
}

# Counts that are not 0: of statuses first, of servers last.
sub in_words {
    my ($counts) = @_;
    my $kind = sub { $_[0] =~ /:/ ? 2 : $_[0] =~ m!/! ? 1 : 0 };
    my @keys = sort { $kind->($a) <=> $kind->($b) || $a cmp $b } grep { $counts->{$_} } keys %$counts;
    return join ' ', map { "$_=$counts->{$_}" } @keys;
}

1;
