package Test::Nginx::Client;

# Requests to the nginx under test, the free ports that it and its servers listen on, and a log of
# what was said, for TEST_NGINX_VERBOSE. Test::Nginx hands these functions on to the tests.

use strict;
use warnings;

use Exporter qw/ import /;
use IO::Socket::INET;
use Socket qw/ CRLF /;
use Test::More ();
use Time::HiRes qw/ sleep /;

our @EXPORT_OK = qw/
    port http http_get http_head http_start http_end http_content http_gzip_request http_gzip_like
    log_in log_out log_core
/;

# Seconds for each half of a request, sending and receiving.
use constant REQUEST_LIMIT => 60;

my %ports;

# The free port that stands for number $number all through this test. The port of the other
# protocol is kept bound until the end, so that a test that runs beside this one takes another.
sub port {
    my ($number, %options) = @_;

    if (!$ports{$number}) {
        my $block = $number - $number % 500;
        my @candidates = ($number, map { $block + int rand 500 } 1 .. 40);

        for my $candidate (@candidates) {
            # What is kept comes first: to try the other one on a port that another test has would be in
            # the way of the server that it is about to start there.
            my ($kept, $used) = $options{udp} ? qw/ tcp udp / : qw/ udp tcp /;
            my $socket = bind_port($kept, $candidate) or next;
            bind_port($used, $candidate) or next;
            $ports{$number} = { port => $candidate, kept => $socket };
            last;
        }

        die "No free port near $number" unless $ports{$number};
    }

    return $ports{$number}{ $options{socket} ? 'kept' : 'port' };
}

sub bind_port {
    my ($protocol, $port) = @_;
    return IO::Socket::INET->new(
        Proto => $protocol,
        LocalAddr => "127.0.0.1:$port",
        $protocol eq 'tcp' ? (Listen => 1, ReuseAddr => 1) : (),
    );
}

sub http_get {
    my ($uri, %options) = @_;
    return http("GET $uri HTTP/1.0" . CRLF . 'Host: localhost' . CRLF . CRLF, %options);
}

sub http_head {
    my ($uri, %options) = @_;
    return http("HEAD $uri HTTP/1.0" . CRLF . 'Host: localhost' . CRLF . CRLF, %options);
}

# Sends the request as it is and returns everything up to the end of the connection; undef when
# that takes too long. Options: socket (an open one), start (return the socket, do not read), body
# (sent after the request and after sleep seconds), aborted (no body after all), and those of
# IO::Socket::INET, such as PeerAddr.
sub http {
    my ($request, %options) = @_;
    my $socket = http_start($request, %options);
    return $socket if $options{start} || !defined $socket;
    return http_end($socket, %options);
}

sub http_start {
    my ($request, %options) = @_;

    return in_time(sub {
        die "TLS is not supported by this library\n" if $options{SSL};

        my $socket = $options{socket} || IO::Socket::INET->new(
            Proto => 'tcp',
            PeerAddr => '127.0.0.1:' . port(8080),
            %options,
        ) || die "Can't connect to nginx: $!\n";

        log_out($request);
        $socket->print($request);

        sleep($options{sleep}) if $options{sleep};

        if (!$options{aborted} && $options{body}) {
            log_out($options{body});
            $socket->print($options{body});
        }

        return $socket;
    });
}

sub http_end {
    my ($socket) = @_;

    my $reply = in_time(sub {
        local $/;
        my $all = $socket->getline();
        $socket->close();
        return $all;
    });
    log_in($reply) if defined $reply;

    return $reply;
}

sub in_time {
    my ($work) = @_;

    my $result = eval {
        local $SIG{ALRM} = sub { die "timeout\n" };
        local $SIG{PIPE} = sub { die "sigpipe\n" };
        alarm(REQUEST_LIMIT);
        my $done = $work->();
        alarm(0);
        $done;
    };
    my $failure = $@;
    alarm(0);
    log_in("died: $failure") if $failure;

    return $result;
}

sub http_gzip_request {
    my ($uri) = @_;
    return http(join CRLF,
        "GET $uri HTTP/1.1", 'Host: localhost', 'Connection: close', 'Accept-Encoding: gzip',
        '', '');
}

# The body of a reply, out of its chunks. A body that ends too early ends in a mark.
sub http_content {
    my ($reply) = @_;

    return undef unless defined $reply;
    my ($head, $body) = split /\x0d?\x0a\x0d?\x0a/, $reply, 2;
    return undef unless defined $body;
    return $body unless $head =~ /^Transfer-Encoding:\s*chunked/mi;

    my $content = '';

    while ($body =~ s/\A(?:\x0d?\x0a)?([0-9a-f]+)[^\x0a]*\x0a//i) {
        my $size = hex $1;
        return $content if $size == 0;
        $content .= substr $body, 0, $size, '';
    }

    return $content . '[no-last-chunk]';
}

sub http_gzip_like {
    my ($reply, $pattern, $name) = @_;
    require IO::Uncompress::Gunzip;

    my $packed = http_content($reply);
    my $plain;
    IO::Uncompress::Gunzip::gunzip(\$packed => \$plain) if defined $packed;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return Test::More::like($plain, $pattern, $name);
}

sub log_out { log_core('>>', @_) }
sub log_in { log_core('<<', @_) }

sub log_core {
    return unless $ENV{TEST_NGINX_VERBOSE};

    my ($prefix, $text) = @_ > 1 ? @_ : ('', @_);
    return unless defined $text;

    my $length = length $text;
    $text = substr($text, 0, 2048) . "(... of $length bytes)" if $length > 2048;

    for my $line (split /\n/, $text, -1) {
        $line =~ s/([^\x20-\x7e])/sprintf '\\x%02x', ord $1/ge;
        print '# ', length $prefix ? "$prefix " : '', "$line\n";
    }
}

1;
