#!/usr/bin/perl

# Tests for a kept connection that the server closes while a request is on its way; without asking
# the same server again, a session would move because of it.

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }
use lib map { split /:/ } grep { defined } @ENV{qw/ TEST_NGINX_LIB PERL5LIB /}, 'lib';
use Test::Nginx;

use IO::Select;
use IO::Socket::INET;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/ http proxy upstream_keepalive /)->plan(9);

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

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        proxy_http_version 1.1;
        proxy_set_header   Connection "";
        add_header         X-Status $sticky_status;

        location /cookie { proxy_pass http://cookie; }
        location /strict { proxy_pass http://strict; }
    }

    server {
        listen       127.0.0.1:8082;
        location / { return 200 "other server\n"; }
    }
}

EOC

$t->run_daemon(\&one_answer_per_connection, port(8081));
$t->run()->waitforsocket('127.0.0.1:' . port(8081));

for my $upstream (qw/ cookie strict /) {
    like(get($upstream), qr/X-Status: HIT.*connection \d+ /s, "$upstream: a connection is opened");
    my $second = get($upstream);
    like($second, qr/200 OK.*connection \d+ /s, "$upstream: closed, and its server asked again");
    like($second, qr/X-Status: HIT/, "$upstream: the session has not moved");
    like($second, qr/Set-Cookie: route=0;/, "$upstream: and the cookie says so");
}

like(http_get('/cookie'), qr/other server/, 'new sessions avoid the server that seems to fail');

sub get {
    my ($upstream) = @_;
    return http("GET /$upstream HTTP/1.0\r\nHost: localhost\r\nCookie: route=0\r\n\r\n");
}

# Answers the first request of a connection, keeps it, and closes it when the second one comes.
sub one_answer_per_connection {
    my ($port) = @_;
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
