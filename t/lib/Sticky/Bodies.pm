package Sticky::Bodies;

# Requests with bodies of a media type that come in chunks or in pieces, for the tests of from=form,
# from=json and from=xml, and what came of several requests in words.

use strict;
use warnings;

use Exporter qw/ import /;

use Test::Nginx;
use Sticky::Client;

our @EXPORT = qw/ summary chunked first_piece piecewise /;

# The servers and the status of replies: "A HIT", "ABC NONE".
sub summary {
    my (%servers, %statuses);
    for my $reply (@_) {
        $servers{ served_by($reply) } = 1;
        $statuses{ status($reply) } = 1;
    }
    return join(' ', join('', sort keys %servers), join('', sort keys %statuses));
}

# The reply to a body in chunks of this length.
sub chunked {
    my ($uri, $type, $length, $body) = @_;
    my $chunks = join '', map { sprintf "%x\r\n%s\r\n", length, $_ } unpack "(a$length)*", $body;
    return http("POST $uri HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        . "Content-Type: $type\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n");
}

# The first piece comes with the head.
sub begun {
    my ($uri, $type, $body, $first) = @_;
    my $length = length $body;
    my $head = "POST $uri HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        . "Content-Type: $type\r\nContent-Length: $length\r\n\r\n";
    return http($head . substr($body, 0, $first), start => 1);
}

# The reply to a request of which only the first piece is there.
sub first_piece { return http('', socket => begun(@_)) }

# The reply to a body in pieces of these lengths, and the rest.
sub piecewise {
    my ($uri, $type, $body, @lengths) = @_;
    my $socket = begun($uri, $type, $body, $lengths[0]);
    substr $body, 0, shift @lengths, '';
    for my $length (@lengths) {
        select undef, undef, undef, 0.01;
        http(substr($body, 0, $length, ''), socket => $socket, start => 1);
    }
    select undef, undef, undef, 0.01;
    return http($body, socket => $socket);
}

1;
