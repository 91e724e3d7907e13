#!/usr/bin/perl

# Tests for the number of sessions in a zone with thousands of servers, which a thread counts after each
# sweep as the event loop would take too long; without it, sticky_statsd never hears how many there are.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;

use IO::Select;
use IO::Socket::INET;
use Socket qw/ SOL_SOCKET SO_RCVBUF /;

my $t = Test::Nginx->new()->has(qw/ http proxy /)->plan(3);

my $statsd = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1') or die "no port: $!";
setsockopt $statsd, SOL_SOCKET, SO_RCVBUF, 1 << 22;
my $port = $statsd->sockport();
my $others = join ' ', map { "server 127.0.0.1:$_ down;" } 20001 .. 22100;

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    sticky_statsd 127.0.0.1:$port;

    upstream u {
        sticky mode=query zone=z:64k;
        server 127.0.0.1:8081;
    }

    upstream others {
        sticky mode=query zone=z;
        $others
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        location / { proxy_pass http://u; }
        location /others { proxy_pass http://others; }
    }
}

EOC
apart($t);
$t->run();

get('/', 'X-Page' => link_to('a'));
get('/', 'X-Page' => link_to('b'));
get('/?sid=a');
my $server = 'upstream.u.server.127_0_0_1_' . port(8081) . '.sessions';
ok(counts(in_use => 1), 'the one that is in use');
ok(counts(unused => 1), 'the one that is not');
get('/?sid=b');
ok(counts(in_use => 2, unused => 0), 'counted again by a later sweep');

# Whether the gauges of the server come to say so.
sub counts {
    my (%wanted) = @_;
    my %gauge;
    return eventually(sub {
        while (IO::Select->new($statsd)->can_read(0)) {
            recv $statsd, my $packet, 65536, 0;
            $gauge{$1} = $2 while $packet =~ /\Q$server\E\.(\w+):(\d+)\|g/g;
        }
        return !grep { ($gauge{$_} // -1) != $wanted{$_} } keys %wanted;
    });
}
