#!/usr/bin/perl

# Tests for a kept connection that the server closes while a request is on its way; without asking
# the same server again, a session would move because of it. Nor is the server asked again that has
# failed otherwise.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;

use IO::Select;
use IO::Socket::INET;

my $t = Test::Nginx->new()->has(qw/ http proxy upstream_keepalive /)->plan(11);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    upstream cookie {
        sticky hash=index;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        keepalive 4;
    }

    upstream strict {
        sticky hash=index no_fallback;
        server 127.0.0.1:8081 max_fails=0;
        server 127.0.0.1:8082;
        keepalive 4;
    }

    upstream failing {
        sticky hash=index;
        server 127.0.0.1:8083 max_fails=0;
        server 127.0.0.1:8082;
        keepalive 4;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        proxy_http_version 1.1;
        proxy_set_header   Connection "";
        add_header         X-Status $sticky_status;

        location /cookie { proxy_pass http://cookie; }
        location /strict { proxy_pass http://strict; }

        location /failing {
            proxy_pass          http://failing;
            proxy_next_upstream error http_500;
            add_header          X-Tried $upstream_addr;
        }
    }

    server {
        listen       127.0.0.1:8082;
        location / { return 200 "other server\n"; }
    }
}

EOC

$t->run_daemon(\&one_answer_per_connection, port(8081), '');
$t->run_daemon(\&one_answer_per_connection, port(8083),
    "HTTP/1.1 500 Failed\r\nContent-Length: 0\r\n\r\n");
$t->run();
$t->waitforsocket('127.0.0.1:' . port($_)) for 8081, 8083;

my @session = (Cookie => 'route=0');

for my $upstream (qw/ cookie strict /) {
    like(get("/$upstream", @session), qr/X-Status: HIT.*connection \d+ /s,
        "$upstream: a connection is opened");
    my $second = get("/$upstream", @session);
    like($second, qr/200 OK.*connection \d+ /s, "$upstream: closed, and its server asked again");
    like($second, qr/X-Status: HIT/, "$upstream: the session has not moved");
    like($second, qr/Set-Cookie: route=0;/, "$upstream: and the cookie says so");
}

like(get('/failing', @session), qr/connection \d+ /, 'failing: a connection is opened');
my ($home, $other) = (port(8083), port(8082));
like(get('/failing', @session), qr/^X-Tried: 127.0.0.1:$home, 127.0.0.1:$other\r$/m,
    'failing: a server that answers 500 is asked once');

like(http_get('/cookie'), qr/other server/, 'new sessions avoid the server that seems to fail');

# Answers the first request of a connection, keeps it, and when the second one comes, says the last
# words, if any, and closes it.
sub one_answer_per_connection {
    my ($port, $last_words) = @_;
    my $server = IO::Socket::INET->new(
        Proto => 'tcp', LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 5, Reuse => 1,
    ) or die "no socket: $!\n";

    local $SIG{PIPE} = 'IGNORE';
    my $select = IO::Select->new($server);
    my ($count, %answered) = (0);
    while (my @ready = $select->can_read()) {
        for my $socket (@ready) {
            if ($socket == $server) {
                my $client = $server->accept() or next;
                $select->add($client);
                next;
            }
            my $read = sysread($socket, my $request, 4096);
            if (!$read || $answered{fileno $socket}++) {
                syswrite($socket, $last_words) if $read;
                delete $answered{fileno $socket};
                $select->remove($socket);
                close $socket;
                next;
            }
            my $body = 'connection ' . ++$count . " \n";
            syswrite($socket, "HTTP/1.1 200 OK\r\nContent-Length: " . length($body) . "\r\n\r\n$body");
        }
    }
}
