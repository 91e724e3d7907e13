package Sticky::Pages;

# The application behind the balancer, for the tests of `sticky mode=query`: three servers, A, B
# and C, that answer what the request asks them to. So each test shows, in one line, what is handed
# out, and what comes of it.
#
# backends() is configuration for `include backends.conf;` in the http block. What a server hands
# out stands in the request that it gets:
#
#     X-Page: <a href="/?sid=1">       the body
#     X-Part: <a href="/?sid=2">       the body of /part, which an SSI command may include
#     X-Location, X-Content-Location, X-Refresh, X-Link, X-Set-Cookie    the headers of these names
#
# The path says how: /302 redirects to X-Location, /404, /500 and /503 have that status,
# /type/plain … another media type. Every answer names its server in X-Server. While there is a file
# `closed_A` in the test's directory, A closes every connection without an answer, while there is a
# file `failed_A`, it answers 500.
#
# three_servers() is what an upstream has of them, upstreams() are upstreams of all three, each with
# its lines. apart() starts them in an nginx of their own, which neither reloads nor is killed, if need
# be at another address.
#
# handing_out() is a server that sends X-Page, as a daemon: unlike backends(), which are in the nginx
# under test, it does not fail when nginx reloads.
#
# scripted() is such a server as a daemon, for answers in pieces; the request holds them in
# X-Script, which script() writes, and the line of their status in X-Answer.

use strict;
use warnings;

use Exporter qw/ import /;
use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Socket qw/ IPPROTO_TCP TCP_NODELAY /;

use Test::Nginx;

our @EXPORT = qw/ backends apart three_servers upstreams script scripted handing_out /;

use constant CRLF => "\x0d\x0a";

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
        # Else, while nginx is reloaded, an old worker here closes connections that a new one has kept
        # (nginx keeps them by itself since 1.29.7), and its server has failed.
        keepalive_timeout   0;

        add_header  X-Server         $letter                   always;
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
        location /200         { add_header Location $http_x_location; add_header X-Server $letter;
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
                                add_header X-Server $letter; return 200 $http_x_page; }
    }
EOC
}

sub three_servers { return join ' ', map { "server 127.0.0.1:$_;" } 8081 .. 8083 }

sub upstreams {
    my %lines = @_;
    return join '', map { "upstream $_ {\n$lines{$_}\n@{[ three_servers() ]}\n}\n" } sort keys %lines;
}

sub apart {
    my ($t, $address) = @_;
    my $user = $> == 0 ? 'user root;' : '';
    my $backends = backends();
    $backends =~ s/127\.0\.0\.1:(80\d\d)/"$address:" . port($1)/ge if defined $address;
    $t->write_file_expand('backends.conf', $backends);
    $t->write_file_expand('servers.conf', <<"EOC");

$user
daemon off;
pid %%TESTDIR%%/servers.pid;
error_log %%TESTDIR%%/servers.log;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    access_log off;

    include backends.conf;
}

EOC
    my $dir = $t->testdir();
    $t->run_daemon($Test::Nginx::NGINX, '-p', "$dir/", '-c', 'servers.conf', '-e', 'servers.log');
    $t->waitforfile("$dir/servers.pid");
}

# Writes what scripted() shall send after its status line: texts, and references to what else there
# is to do:
#
#     \0.01      wait so many seconds
#     \'@NAME'   send a file of the test's folder
#     \'?NAME'   wait until there is such a file
#     \'*'       wait until the client has gone
sub script {
    return (join ' ', map { !ref ? 'x' . unpack 'H*', $_ : $$_ =~ /^[@?*]/ ? $$_ : "~$$_" } @_);
}

# A server that sends what the request has as X-Page.
sub handing_out {
    my ($port, $letter) = @_;

    my $server = IO::Socket::INET->new(
        Proto => 'tcp', LocalAddr => "127.0.0.1:$port", Listen => 64, ReuseAddr => 1,
    ) or die "Can't listen: $!";

    local $SIG{PIPE} = 'IGNORE';

    while (1) {
        my $client = $server->accept() or next;
        my $head = '';
        while (my $line = <$client>) {
            $head .= $line;
            last if $line =~ /^\x0d?\x0a?$/;
        }
        my ($page) = $head =~ /^X-Page: (.+?)\x0d/mi;
        $page //= '';
        print {$client} join CRLF, 'HTTP/1.1 200 OK', "X-Server: $letter", 'Content-Type: text/html',
            'Content-Length: ' . length $page, 'Connection: close', '', $page;
        close $client;
    }
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
    my ($status) = $head =~ /^X-Answer: (.+?)\x0d/mi;
    my $start = sprintf 'HTTP/%s %s', $version // '1.1', $status // '200 OK';
    my $text = join CRLF, $start, "X-Server: $letter", 'Connection: close', '';

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

1;
