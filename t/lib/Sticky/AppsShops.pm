package Sticky::AppsShops;

# Shops that count the requests of each session and hand its id out in their pages: PHP and servlets
# alike. A walk asks for the first page, follows its link, sends its forms, the last of which gives
# the session another id, and goes where it is redirected to.

use strict;
use warnings;

use Exporter qw/ import /;
use Sticky::Apps qw/ browse /;

our @EXPORT_OK = qw/ walk_all walk_two /;

# Walks that many sessions, one step of each at a time, so that they get in each other's way: of
# browsers that take cookies and of such that do not, every other one, or all without. Returns how
# many stayed whole, how many servers they had, and the first that was lost.
sub walk_all {
    my ($sessions, %options) = @_;
    my $jar = sub { $options{without_cookies} || $_[0] % 2 ? undef : {} };
    my @walks = map { { id => $_, page => undef, count => 0, jar => $jar->($_) } } 1 .. $sessions;
    return walk_these(@walks);
}

# Two sessions, of a browser that takes no cookies and of one that does, which go on where they are lost.
sub walk_two {
    for my $jar (undef, {}) {
        my $page;
        $page = step($_, $page, $jar) for qw/ first link form link login follow link /;
    }
    return;
}

sub walk_these {
    my (@walks) = @_;
    my $lost = '';
    for my $step (qw/ first link form link login follow link /) {
        for my $walk (grep { !$_->{lost} } @walks) {
            my $page = step($step, $walk->{page}, $walk->{jar});
            $walk->{count}++;
            $walk->{server} //= $page->{server};
            if ($page->{server} ne $walk->{server} || $page->{count} != $walk->{count}) {
                $walk->{lost} = 1;
                $lost ||= "session $walk->{id} of $walk->{server} at step $walk->{count}, $step: "
                    . "server $page->{server}, request $page->{count} of its session";
            }
            $walk->{page} = $page;
        }
    }
    my @whole = grep { !$_->{lost} } @walks;
    my %servers = map { $_->{server} => 1 } @whole;
    return (scalar @whole, scalar keys %servers, $lost);
}

sub step {
    my ($step, $page, $jar) = @_;
    return browse('GET', '/', undef, $jar) if $step eq 'first';
    return browse('GET', $page->{link} // '/nowhere', undef, $jar) if $step eq 'link';
    return browse('GET', $page->{location} // '/nowhere', undef, $jar) if $step eq 'follow';
    my $form = $step eq 'form' ? $page->{forms}[0] : $page->{forms}[-1];
    return browse('POST', $form->{action} // '/nowhere', $form->{fields}, $jar);
}

1;
