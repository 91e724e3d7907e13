package Sticky::Client;

# The client of the tests: requests, what a test asks of the replies, and how it waits. Sticky::Test
# brings all of it along.
#
#     my $reply = get('/next?sid=1', Cookie => 'route=2');
#     is(status($reply), 'HIT', 'known');
#     is(visit('/next?sid=1'), "$port HIT", 'the same in words');
#     ok(holds($reply, '/next?sid=1'), 'and it stays so');
#
# A server of a test names itself in X-Server; nginx writes $sticky_status into X-Status.

use strict;
use warnings;

use Exporter qw/ import /;
use IO::Select;
use Time::HiRes qw/ sleep time /;

use Test::Nginx ();

our @EXPORT = qw/
    get post send_request
    header cookies served_by status code visit where holds link_to read_until reply_of
    eventually in_time
/;

use constant CRLF => "\x0d\x0a";

# Seconds that nothing takes, however loaded the machine is: only a test that fails waits so long.
use constant PATIENCE => 60;

# Requests, each on a connection of its own, and their replies; '' when there is none. Headers are
# names with values, or whole lines ('Cookie: a=b'); one with the value undef is left out, even
# `Host`. A hash behind them has options: `body`, `version` of HTTP (1.1), and those of
# Test::Nginx::http(), as `start`, which returns the socket.
sub get { return send_request('GET', @_) }

# A form, unless Content-Type says something else.
sub post {
    my ($uri, $body, @headers) = @_;
    my %options = ref $headers[-1] ? %{ pop @headers } : ();
    return send_request('POST', $uri, 'Content-Type' => 'application/x-www-form-urlencoded',
        'Content-Length' => length $body, @headers, { %options, body => $body });
}

sub send_request {
    my ($method, $uri, @headers) = @_;
    my %options = ref $headers[-1] ? %{ pop @headers } : ();
    my $body = delete $options{body} // '';
    my $version = delete $options{version} // '1.1';

    my (%line, @lines);
    unshift @headers, Host => 'localhost', Connection => 'close';
    while (defined(my $name = shift @headers)) {
        if ($name =~ /^[^:\s]+:/) {
            push @lines, $name;
        } else {
            my $value = shift @headers;
            $line{$name} = defined $value ? "$name: $value" : undef;
        }
    }
    @lines = ((grep { defined } map { $line{$_} } sort keys %line), @lines);
    my $request = join CRLF, "$method $uri HTTP/$version", @lines, '', $body;
    return Test::Nginx::http($request, %options) // '';
}

# What comes yet on a socket, up to its end.
sub reply_of {
    my ($socket) = @_;
    local $/;
    return <$socket> // '';
}

# The value of a header of the reply; '' when it has none.
sub header {
    my ($name, $reply) = @_;
    return head_of($reply) =~ /^\Q$name\E: ([^\x0d]*)\x0d?$/mi ? $1 : '';
}

# The values of its Set-Cookie headers.
sub cookies { return head_of($_[0]) =~ /^Set-Cookie: ([^\x0d]*)\x0d?$/mgi }

sub head_of { return (split /\x0d\x0a\x0d\x0a/, $_[0] // '', 2)[0] // '' }

# The name of the server that has answered; '' when nginx itself has.
sub served_by { return header('X-Server', $_[0]) }

# $sticky_status; '' when there is none.
sub status { return header('X-Status', $_[0]) }

sub code { return ($_[0] // '') =~ /^HTTP\S+ (\d+)/ ? $1 : 'no answer' }

# What came of a request, in words: the server, or the code of nginx's own answer, and the status.
# The option `show` names headers whose values are added.
sub visit {
    my ($uri, @headers) = @_;
    my %options = ref $headers[-1] ? %{ pop @headers } : ();
    my $show = delete $options{show} // [];
    my $reply = get($uri, @headers, \%options);
    return join ' ', served_by($reply) || code($reply), status($reply),
        map { header($_, $reply) } @$show;
}

# A page with a link that has the id under the name that is the default.
sub link_to { return sprintf '<html><a href="/next?sid=%s">next</a></html>', @_ }

# The servers of six requests, as in 'AAAAAA'. Without a session they cannot all be the same: round
# robin goes on with each.
sub where {
    my @request = @_;
    return join '', map { served_by(get(@request)) || '-' } 1 .. 6;
}

# Whether all requests go to the server that gave the reply.
sub holds {
    my ($reply, @request) = @_;
    my $server = served_by($reply);
    return $server ne '' && where(@request) eq $server x 6;
}

# Everything from the socket up to the pattern; undef when it does not come.
sub read_until {
    my ($socket, $pattern) = @_;
    my $end = time() + PATIENCE;
    my $text = '';
    my $select = IO::Select->new($socket);

    while ($text !~ $pattern) {
        my $left = $end - time();
        return undef if $left <= 0 || !$select->can_read($left);
        return undef unless sysread $socket, $text, 65536, length $text;
    }

    return $text;
}

# Asks again and again, for a minute at most, until the answer is true.
sub eventually {
    my ($ask) = @_;
    my $end = time() + PATIENCE;
    while (1) {
        my $answer = $ask->();
        return $answer if $answer || time() > $end;
        sleep 0.02;
    }
}

# For what holds only for so many seconds: does it again, with the number of the round, until a
# round has ended within them; on a slower machine its result would say nothing. The code may ask by
# the way whether there is time left since the last time it asked, and give up with an empty list.
sub in_time {
    my ($seconds, $code) = @_;
    my @result;
    for my $round (1 .. 20) {
        my ($begun, $is_late) = (time(), 0);
        my $is_in_time = sub {
            my $now = time();
            $is_late = 1 if $now - $begun > $seconds;
            $begun = $now;
            return !$is_late;
        };
        @result = $code->($round, $is_in_time);
        return @result if $is_in_time->();
    }
    return @result;
}

1;
