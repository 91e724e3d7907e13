package Sticky::Visitors;

# Visitors of a location `/at/NAME/` for each upstream, whose servers are those of Sticky::Pages: which
# servers new ones come to, and sessions that are at a server that is asked for.

use strict;
use warnings;

use Exporter qw/ import /;

use Sticky::Client;

our @EXPORT = qw/ news session_at begun_at cookie_of /;

# Another number for each id, and for each `hash $arg_n`.
my $number = 0;

# Servers of new visitors.
sub news {
    my ($upstream, $count) = @_;
    return join '', map { served_by(get("/at/$upstream/?n=" . $number++)) } 1 .. $count // 30;
}

# A session that a page of this server has begun.
sub session_at {
    my ($server, $upstream) = @_;
    return until_at($server, $upstream, sub {
        my $id = 'session' . $number++;
        return ($id, get("/at/$upstream/?n=$number", 'X-Page' => link_to($id)));
    });
}

# One that a request has begun.
sub begun_at {
    my ($server, $upstream) = @_;
    return until_at($server, $upstream, sub {
        my $id = 'begun' . $number++;
        return ($id, get("/at/$upstream/?sid=$id"));
    });
}

# The cookie of a server.
sub cookie_of {
    my ($server, $upstream) = @_;
    return until_at($server, $upstream, sub {
        my $reply = get("/at/$upstream/");
        return ((split /;/, (cookies($reply))[0] // '')[0], $reply);
    });
}

sub until_at {
    my ($server, $upstream, $visit) = @_;
    for (1 .. 100) {
        my ($what, $reply) = $visit->();
        return $what if served_by($reply) eq $server;
    }
    die "nobody comes to $server in upstream $upstream";
}

1;
