#!/usr/bin/perl

# Tests for a flood whose author sends each invented id back, so that his sessions are in use like
# any other: those used more often than he can fill the zone stay, the ones not seen for longest go;
# without it, a few hundred ids a second log everybody out, those who click every second, too.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;
use Sticky::Traffic;

use Time::HiRes qw/ sleep time /;

# Words in a zone of 64 KB: nginx keeps some pages for itself.
use constant ZONE => 3_500;

# A used session comes back so often while the zone is filled once.
use constant OFTEN => 8;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(7);

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    access_log off;
    keepalive_requests 100000;

    include backends.conf;

    upstream u {
        # The time of last use is written every 56 seconds, as long as there is room.
        sticky mode=query zone=rushed:64k expires=1h;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        location / {
            proxy_pass http://u;
        }
    }
}

EOC

without_debug($t);
$t->run();

my %busy = hand_out('/', 'busy', 200);
my %idle = hand_out('/', 'idle', 200);
is(differing(\%busy, { bring_back('/', keys %busy) }), 0, 'sessions in use');
is(differing(\%idle, { bring_back('/', keys %idle) }), 0, 'sessions in use, and then left alone');

# Some of the zone at once, then the rest of it and as much again, while everybody in the first
# group clicks: time is counted in seconds, so each round takes more than one.

my $number = 0;
rush(ZONE / 2);
my $lost = 0;
for (1 .. OFTEN * 2) {
    my $end = time() + 1.05;
    rush(ZONE / OFTEN);
    $lost += differing(\%busy, { bring_back('/', keys %busy) });
    sleep($end - time()) if time() < $end;
}
is($lost, 0, 'who comes back often, keeps his server all the time');

my $gone = differing(\%idle, { bring_back('/', keys %idle) });
cmp_ok($gone, '>', 150, "the least recently used have gone: $gone of 200");

my %new = hand_out('/', 'new', 1);
is(differing(\%new, { bring_back('/', keys %new) }), 0, 'a new session is learned all the same');
my @full = $t->read_file('error.log') =~ /\[error\].*the session table is full.*zone "rushed"/g;
cmp_ok(scalar @full, '>=', 1, 'the log tells that the table is full');
cmp_ok(scalar @full, '<=', 1 + (time() - $^T) / 60, 'once a minute at most');

# Has so many ids handed out, eight at a time, and sends each back before the next come: while they
# are new, they make room for each other.
sub rush {
    my ($count) = @_;
    my @requests;
    for (1 .. $count / 8) {
        $number++;
        my @ids = map { "rush$number-$_" } 1 .. 8;
        my $page = join '', map { "<a href=?sid=$_>" } @ids;
        push @requests, "GET / HTTP/1.1\r\nHost: localhost\r\nX-Page: $page\r\n\r\n",
            map { "GET /?sid=$_ HTTP/1.1\r\nHost: localhost\r\n\r\n" } @ids;
    }
    pipelined(@requests);
}
