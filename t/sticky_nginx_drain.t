#!/usr/bin/perl

# Tests for route= and drain of servers, under all balancers, with and without a zone: a draining
# server gets the requests of its sessions and no others. Without these, on an nginx before 1.29.6
# a server is taken away from its sessions, or new sessions begin on one that is to be shut down.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;

my @balancers = (
    [plain => ''],
    [zone => 'zone zone 128k;'],
    [least => 'least_conn;'],
    [leastzone => 'zone leastzone 128k; least_conn;'],
    [hash => 'hash $arg_k;'],
    [chash => 'zone chash 128k; hash $arg_k consistent;'],
    [iphash => 'ip_hash;'],
    [random => 'random two least_conn;'],
    [keepalive => 'keepalive 4;'],
);

my $t = Test::Nginx->new()->has(qw/
    http proxy rewrite upstream_least_conn upstream_hash upstream_ip_hash upstream_random
    upstream_zone upstream_keepalive
/)->plan(4 * @balancers + 7);

# Two servers have one route each, the third has none.

my $upstreams = join '', map { <<"EOC" } @balancers;
    upstream $_->[0] {
        $_->[1]
        server 127.0.0.1:8081 route=one drain;
        server 127.0.0.1:8082 route=two;
        server 127.0.0.1:8083;
        sticky route \$arg_r;
    }
EOC

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;
worker_processes 1;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

$upstreams

    # The names of one server: a duplicate of an address is told by its route.
    upstream twice {
        server 127.0.0.1:8081 route=first drain;
        server 127.0.0.1:8081 route=second down;
        server 127.0.0.1:8082;
        sticky route \$arg_r;
    }

    upstream alone {
        server 127.0.0.1:8081 route=one drain;
        sticky route \$arg_r;
    }

    upstream query {
        server 127.0.0.1:8081 drain;
        server 127.0.0.1:8082;
        sticky mode=cookie hash=index;
    }

    upstream unsticky {
        server 127.0.0.1:8081 drain;
        server 127.0.0.1:8082 route=a;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location ~ ^/(\\w+)\$ {
            proxy_pass http://\$1;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
    }

    server {
        listen       127.0.0.1:8081;
        listen       127.0.0.1:8082;
        listen       127.0.0.1:8083;
        server_name  localhost;

        location / {
            return 200 "port \$server_port\\n";
        }
    }
}

EOC

$t->run();

my ($drained, $second, $third) = map { port($_) } 8081 .. 8083;

for my $upstream (map { $_->[0] } @balancers) {
    is(visits("/$upstream?r=one"), $drained, "$upstream: the sessions of a draining server");
    is(visits("/$upstream?r=two"), $second, "$upstream: those of another");
    unlike(visits("/$upstream?r="), qr/$drained/, "$upstream: no others to a draining server");
    unlike(visits("/$upstream?r=none"), qr/$drained/, "$upstream: nor with an unknown route");
}

is(visits('/twice?r=first'), $drained, 'an address that stands twice, by its first route');
is(visits('/twice?r=second'), $second, 'and by the route of the one that is down');
is(visits('/alone?r=one'), $drained, 'a draining server alone');
is(visits('/alone?r=two'), '502', 'which is none to the others');
is(visits('/query', 'Cookie: route=0'), $drained, 'a draining server and a cookie of the module');
is(visits('/query'), $second, 'but not without it');
is(visits('/unsticky'), $second, 'in an upstream without sticky');

# The servers that answer 12 requests with different keys.
sub visits {
    my ($uri, @headers) = @_;
    my %seen;
    for my $k (1 .. 12) {
        my $key = $uri =~ /\?/ ? "&k=$k" : "?k=$k";
        my $reply = get("$uri$key", @headers);
        $seen{ $reply =~ /^port (\d+)/m ? $1 : code($reply) } = 1;
    }
    return join ' ', sort keys %seen;
}
