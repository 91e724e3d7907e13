package Sticky::Pages;

# The application behind the balancer, for the tests of `sticky mode=query`: three servers, A, B
# and C, that answer what the request asks them to, and the few questions that a test puts to the
# answers. So each test shows, in one line, what is handed out, and what comes of it.
#
# backends() is configuration for `include backends.conf;` in the http block. What a server hands
# out stands in the request that it gets:
#
#     X-Page: <a href="/?sid=1">       the body
#     X-Part: <a href="/?sid=2">       the body of /part, which an SSI command may include
#     X-Location, X-Content-Location, X-Refresh, X-Link, X-Set-Cookie    the headers of these names
#
# The path says how: /302 redirects to X-Location, /404, /500 and /503 have that status,
# /type/plain … another media type. Every answer names its server in X-Backend. While there is a file
# `closed_A` in the test's directory, A closes every connection without an answer, while there is a
# file `failed_A`, it answers 500.
#
# scripted() is such a server as a daemon, for answers in pieces; the request holds them in
# X-Script, which script() writes.

use strict;
use warnings;

use Exporter qw/ import /;
use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Socket qw/ IPPROTO_TCP TCP_NODELAY /;
use Time::HiRes qw/ sleep time /;

use Test::Nginx qw/ :DEFAULT http_content /;

our @EXPORT = qw/
    backends get post link_to backend status holds where read_until
    script scripted reload_with workers eventually in_time stopped_listening
/;

use constant CRLF => "\x0d\x0a";

# Seconds that nothing takes, however loaded the machine is: only a test that fails waits so long.
use constant PATIENCE => 60;

sub backends {
    return <<'EOC';
    map $server_port $letter {
        %%PORT_8081%%  A;
        %%PORT_8082%%  B;
        %%PORT_8083%%  C;
    }

    server {
        listen  127.0.0.1:8081;
        listen  127.0.0.1:8082;
        listen  127.0.0.1:8083;

        absolute_redirect   off;
        default_type        text/html;
        client_max_body_size 8m;

        add_header  X-Backend         $letter                   always;
        add_header  Content-Location  $http_x_content_location  always;
        add_header  Refresh           $http_x_refresh           always;
        add_header  Link              $http_x_link              always;
        add_header  Set-Cookie        $http_x_set_cookie        always;

        if (-f %%TESTDIR%%/closed_$letter) {
            return 444;
        }
        if (-f %%TESTDIR%%/failed_$letter) {
            return 500 $http_x_page;
        }

        location /            { return 200 $http_x_page; }
        location /part        { return 200 "part of $letter: $http_x_part"; }
        location /200         { add_header Location $http_x_location; add_header X-Backend $letter;
                                return 200 "ok"; }
        location /204         { return 204; }
        location /302         { return 302 $http_x_location; }
        location /404         { return 404 $http_x_page; }
        location /500         { return 500 $http_x_page; }
        location /503         { return 503 $http_x_page; }
        location /type/plain  { default_type text/plain; return 200 $http_x_page; }
        location /type/json   { default_type application/json; return 200 $http_x_page; }
        location /type/xml    { default_type text/xml; return 200 $http_x_page; }
        location /type/xhtml  { default_type application/xhtml+xml; return 200 $http_x_page; }
        location /type/upper  { default_type "TEXT/HTML"; return 200 $http_x_page; }
        location /type/utf-8  { default_type "text/html; charset=utf-8"; return 200 $http_x_page; }
        location /type/htmlx  { default_type text/htmlx; return 200 $http_x_page; }
        location /accel       { add_header X-Accel-Redirect $http_x_accel;
                                add_header X-Backend $letter; return 200 $http_x_page; }
    }
EOC
}

# Requests, each on a connection of its own. Options: headers, by name. `Host` may be undef.
sub get { return ask('GET', @_) }

sub post {
    my ($uri, $body, %headers) = @_;
    $headers{'Content-Type'} //= 'application/x-www-form-urlencoded';
    $headers{'Content-Length'} = length $body;
    return ask('POST', $uri, %headers, body => $body);
}

sub ask {
    my ($method, $uri, %headers) = @_;
    my $body = delete $headers{body} // '';
    %headers = (Host => 'localhost', Connection => 'close', %headers);
    my @lines = map { "$_: $headers{$_}" } grep { defined $headers{$_} } sort keys %headers;
    my $reply = http(join(CRLF, "$method $uri HTTP/1.1", @lines, '', $body));
    return $reply // '';
}

# A page with a link that carries the id under the name that is the default.
sub link_to { return sprintf '<html><a href="/next?sid=%s">next</a></html>', @_ }

sub backend { return $_[0] =~ /^X-Backend: (\w)/m ? $1 : 'nobody' }

sub status { return $_[0] =~ /^X-Sticky: (\w+)/m ? $1 : 'nothing' }

# The backends of six requests to the URI, as in 'AAAAAA'. Without a session they cannot all be the
# same: round robin goes on with each.
sub where {
    my ($uri, %headers) = @_;
    return join '', map { backend(get($uri, %headers)) } 1 .. 6;
}

# Whether all requests to the URI go to the backend that gave the reply.
sub holds {
    my ($reply, $uri, %headers) = @_;
    my $from = backend($reply);
    my $to = where($uri, %headers);

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return $from =~ /^[ABC]$/ && $to eq $from x 6;
}

# Everything from the socket up to the pattern; undef when it does not come within a minute.
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

# Writes what scripted() shall send after its status line: texts, and references to what else there is
# to do:
#
#     \0.01      wait so many seconds
#     \'@NAME'   send a file of the test's folder
#     \'?NAME'   wait until there is such a file
#     \'*'       wait until the client has gone
sub script {
    return (join ' ', map { !ref ? 'x' . unpack 'H*', $_ : $$_ =~ /^[@?*]/ ? $$_ : "~$$_" } @_);
}

# A server that sends each piece of the script by itself. A request without a script gets an empty
# page.
sub scripted {
    my ($port, $letter, $dir) = @_;

    my $server = IO::Socket::INET->new(
        Proto => 'tcp', LocalAddr => "127.0.0.1:$port", Listen => 64, ReuseAddr => 1,
    ) or die "Can't listen: $!";

    local $SIG{CHLD} = 'IGNORE';
    local $SIG{PIPE} = 'IGNORE';

    while (1) {
        my $client = $server->accept() or next;
        my $pid = fork() // die "Can't fork: $!";
        next if $pid;
        setsockopt $client, IPPROTO_TCP, TCP_NODELAY, 1;
        $client->autoflush(1);
        answer($client, $letter, $dir);
        close $client;
        POSIX::_exit(0);
    }
}

sub answer {
    my ($client, $letter, $dir) = @_;

    my $head = '';
    while (my $line = <$client>) {
        $head .= $line;
        last if $line =~ /^\x0d?\x0a?$/;
    }
    read $client, my $body, $1 if $head =~ /^content-length: (\d+)/mi;

    my ($version) = $head =~ /^X-Version: (\S+)/mi;
    my ($status) = $head =~ /^X-Status: (.+?)\x0d/mi;
    my $start = sprintf 'HTTP/%s %s', $version // '1.1', $status // '200 OK';
    my $text = join CRLF, $start, "X-Backend: $letter", 'Connection: close', '';

    my ($script) = $head =~ /^X-Script: (.+?)\x0d/mi;
    $script //= script(CRLF);

    for my $step (split ' ', $script) {
        # The other side sends nothing any more: what can be read is the end of the connection.
        if ($step =~ /^~(.+)/) {
            return if IO::Select->new($client)->can_read($1);
            next;
        }
        if ($step =~ /^\?(.+)/) {
            until (-e "$dir/$1") {
                return if IO::Select->new($client)->can_read(0.02);
            }
            next;
        }
        if ($step eq '*') {
            IO::Select->new($client)->can_read();
            return;
        }
        if ($step =~ /^@(.+)/) {
            open my $file, '<:raw', "$dir/$1" or die "Can't open $1: $!";
            local $/;
            $text .= <$file>;
        } else {
            $text .= pack 'H*', substr $step, 1;
        }
        # What a client does not want any more is no failure of ours.
        print {$client} $text or last;
        $text = '';
    }
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

# For what holds only for so many seconds: does it again, with the number of the round, until a round
# has ended within them; on a slower machine its result would say nothing. The code may ask by the way
# whether there is time left since the last time it asked, and give up with an empty list.
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

# The numbers of the worker processes that are alive.
sub workers {
    my ($t) = @_;
    my %started = map { $_ => 1 } $t->read_file('error.log') =~ /start worker process (\d+)/g;
    return grep { kill 0, $_ } sort keys %started;
}

# Waits until these processes take no connections any more, though they may go on with those that they
# have: which process serves the next request is certain only then. True when that is so.
sub stopped_listening {
    my @pids = @_;
    return eventually(sub {
        open my $table, '<', '/proc/net/tcp' or die "Can't open /proc/net/tcp: $!";
        # The state of a socket that listens is 0A.
        my %listens = map { /^\s*\d+: \w+:\w+ \w+:\w+ 0A (?:\S+ +){5}(\d+) / ? ("socket:[$1]" => 1) : () }
            <$table>;
        return !grep { my $pid = $_; grep { $listens{ readlink // '' } } glob "/proc/$pid/fd/*" } @pids;
    });
}

# Reloads with another configuration, and returns true when its workers alone are left.
sub reload_with {
    my ($t, $configuration) = @_;
    my @old = workers($t);
    $t->write_file_expand('nginx.conf', $configuration);
    $t->reload();
    return eventually(sub {
        return !(grep { kill 0, $_ } @old) && workers($t);
    });
}

1;
