package Sticky::Traffic;

# Many requests in little time, for the tests that press the session table: on connections that are
# kept, in processes of their own, so that a test goes on meanwhile.
#
# The servers are those of Sticky::Pages, or answer as they do. Requests go to port 8080.

use strict;
use warnings;

use Exporter qw/ import /;
use IO::Select;
use POSIX ();

use Test::Nginx;
use Sticky::Client;

our @EXPORT = qw/
    without_debug on_one_connection pipelined hand_out bring_back differing send_all in_background outcome count
    counted visitors
/;

# At so many requests at a time all of them and their answers fit into the buffers of a connection.
use constant AT_A_TIME => 40;

# Takes the debug messages of the event loop out of nginx.conf: they would be most of the work.
sub without_debug {
    my ($t) = @_;
    my $text = $t->read_file('nginx.conf');
    $text =~ s/^(error_log \S+) debug;/$1 notice;/mg;
    $t->write_file('nginx.conf', $text);
}

# A worker that ends closes its connections between two requests; so often that is made up for.
use constant CONNECTIONS => 20;

# The header of the answer to each of these requests; fewer when nginx does not go on.
sub pipelined {
    my @requests = @_;
    my @replies;
    for (1 .. CONNECTIONS) {
        my @rest = @requests[@replies .. $#requests] or last;
        push @replies, on_one_connection(@rest);
    }
    return @replies;
}

# The same on one connection; fewer when it ends.
sub on_one_connection {
    my @requests = @_;
    my @replies;
    my $socket = http('', start => 1) or return;
    while (my @some = splice @requests, 0, AT_A_TIME) {
        local $SIG{PIPE} = 'IGNORE';
        $socket->print(join '', @some) or return @replies;
        my $text = '';
        my $wanted = @some;
        while (1) {
            my @heads = $text =~ /HTTP\/1\.1 .*?\r\n\r\n/gs;
            if (@heads == $wanted) {
                my ($length) = $heads[-1] =~ /^Content-Length: (\d+)/m;
                my $body = substr $text, rindex($text, "\r\n\r\n") + 4;
                if (length $body >= ($length // 0)) {
                    push @replies, @heads;
                    last;
                }
            }
            IO::Select->new($socket)->can_read(60) or return @replies;
            sysread $socket, $text, 65536, length $text or return @replies;
        }
    }
    return @replies;
}

# Has so many ids handed out, eight by a page, and returns the server of each.
sub hand_out {
    my ($uri, $prefix, $count) = @_;
    my @ids = map { "$prefix$_" } 1 .. $count;
    my (@requests, %home);
    while (my @eight = splice @ids, 0, 8) {
        my $page = join '', map { "<a href=?sid=$_>" } @eight;
        push @requests, [[@eight], "GET $uri HTTP/1.1\r\nHost: localhost\r\nX-Page: $page\r\n\r\n"];
    }
    my @replies = pipelined(map { $_->[1] } @requests);
    for my $n (0 .. $#requests) {
        $home{$_} = served_by($replies[$n] // '') for @{ $requests[$n][0] };
    }
    return %home;
}

# The servers of requests that bring the ids back, of those that are known.
sub bring_back {
    my ($uri, @ids) = @_;
    my @replies = pipelined(map { "GET $uri?sid=$_ HTTP/1.1\r\nHost: localhost\r\n\r\n" } @ids);
    my %home;
    for my $n (0 .. $#ids) {
        my $reply = $replies[$n] // '';
        $home{ $ids[$n] } = status($reply) eq 'HIT' ? served_by($reply) : status($reply);
    }
    return %home;
}

# How many sessions are not at the server where they were.
sub differing {
    my ($expected, $got) = @_;
    return scalar grep {
        $expected->{$_} !~ /^[ABC]$/ || $expected->{$_} ne ($got->{$_} // '')
    } keys %$expected;
}

# Sessions that begin and come back at once, each time on another connection, until the file $stop is
# there. Counts in the file $count. Returns requests, those astray, and the first of these.
sub visitors {
    my ($name, $stop, $count) = @_;
    my ($requests, $astray, $what) = (0, 0, '');
    # An old worker of nginx 1.30 may close connections that it has taken and not read.
    my $answer = sub {
        my @request = @_;
        for (1 .. 100) {
            my $reply = get(@request);
            return $reply if $reply;
        }
        return '';
    };
    for (my $n = 1; !-e $stop; $n++) {
        my $home = served_by($answer->('/', 'X-Page' => "<a href=?sid=$name-$n>"));
        for my $again (1 .. 3) {
            my $reply = $answer->("/?sid=$name-$n");
            $requests++;
            next if status($reply) eq 'HIT' && served_by($reply) eq $home;
            $what ||= "request $again of $n: " . status($reply) . ' ' . served_by($reply) . " $home";
            $astray++;
        }
        count($count, 4);
    }
    return "$requests $astray $what";
}

# Sends as many requests as there are in the range, made of their number, and counts the answers,
# each of which must end in $end.
sub send_all {
    my ($first, $last, $end, $request) = @_;
    my $answers = 0;
    for (1 .. CONNECTIONS) {
        last if $first + $answers > $last;
        $answers += send_some($first + $answers, $last, $end, $request);
    }
    return $answers;
}

# The same on one connection, as long as it lasts.
sub send_some {
    my ($first, $last, $end, $request) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $socket = http('', start => 1) or return 0;
    my $select = IO::Select->new($socket);
    my $answers = 0;
    while ($first <= $last) {
        my $until = $first + AT_A_TIME - 1;
        $until = $last if $until > $last;
        $socket->print(join '', map { $request->($_) } $first .. $until) or return $answers;
        my $missing = $until - $first + 1;
        my $text = '';
        while ($missing > 0) {
            $select->can_read(60) or return $answers;
            sysread $socket, $text, 65536, length $text or return $answers;
            my $found = () = $text =~ /\Q$end\E/g;
            $missing -= $found;
            $answers += $found;
            # Of an end that came in part.
            $text = substr $text, rindex($text, $end) + length $end if $found;
        }
        $first = $until + 1;
    }
    return $answers;
}

# Runs the code in a process of its own.
sub in_background {
    my ($code) = @_;
    my $pid = open(my $output, '-|') // die "Can't fork: $!";
    if ($pid == 0) {
        @SIG{qw/ INT TERM HUP /} = ('DEFAULT') x 3;
        my $result = eval { join ' ', $code->() } // "died: $@";
        syswrite STDOUT, $result;
        # No destructor, no END: those are the test's.
        POSIX::_exit(0);
    }
    return $output;
}

# Counts in a file, for another process, which sees how far this one has come.
sub count {
    my ($file, $more) = @_;
    open my $output, '>>', $file or die "Can't write $file: $!";
    syswrite $output, '.' x ($more // 1);
    close $output;
}

sub counted { return -s $_[0] // 0 }

# What it has returned, as soon as it has: one line.
sub outcome {
    my ($output) = @_;
    local $/;
    my $result = <$output> // '';
    close $output;
    return $result;
}

1;
