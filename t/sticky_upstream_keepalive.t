#!/usr/bin/perl

# Tests for keepalive beside the directive, in every order; without them, each request opens a
# connection of its own, or a session follows a kept connection to the wrong server.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Servers;

my $sticky = 'sticky hash=index hide_cookie;';
my @orders = (
    [plain => 'keepalive 8;'],
    [before => 'keepalive 8;', $sticky],
    [after => $sticky, 'keepalive 8;'],
    [least_between => $sticky, 'least_conn;', 'keepalive 8;'],
    [least_first => 'least_conn;', 'keepalive 8;', $sticky],
    [least_sticky => 'least_conn;', $sticky, 'keepalive 8;'],
    [hash_first => 'hash $arg_key;', 'keepalive 8;', $sticky],
    [random_between => $sticky, 'random;', 'keepalive 8;'],
    [ip_hash_between => $sticky, 'ip_hash;', 'keepalive 8;'],
    [zone_before => 'zone zone_before 64k;', 'keepalive 8;', $sticky],
    [zone_after => $sticky, 'keepalive 8;', 'zone zone_after 64k;'],
);

my $t = Test::Nginx->new()->has(qw/
    http proxy rewrite upstream_hash upstream_ip_hash upstream_keepalive upstream_least_conn
    upstream_random upstream_zone
/)->plan(3 * (@orders - 1) + 3);

my $upstreams = join '', map { upstream(@$_) } @orders;

sub upstream {
    my ($name, @lines) = @_;
    my $lines = join "\n        ", @lines;
    return <<"EOC";
    upstream $name {
        $lines
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }
EOC
}

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;
worker_processes 1;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

$upstreams

    upstream none {
        $sticky
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location ~ ^/(\\w+)\$ {
            proxy_pass http://\$1;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            add_header X-Status \$sticky_status;
        }
    }
}

EOC

my @ports = (port(8081), port(8082));
$t->run_daemon(\&server, $_, $_) for @ports;
$t->run();
$t->waitforsocket("127.0.0.1:$_") for @ports;

# How many connections the two servers get while this is done.
sub connections(&) {
    my ($work) = @_;
    my @before = map { ask($_, 'connections') } @ports;
    $work->();
    return [map { ask($ports[$_], 'connections') - $before[$_] } 0, 1];
}

# Two rounds over both servers, and what came of them.
sub two_rounds {
    my ($upstream) = @_;
    my @seen;
    for my $index (0, 1, 1, 0, 0, 1, 0, 1) {
        my $reply = get("/$upstream", "Cookie: route=$index");
        push @seen, $index if served_by($reply) eq $ports[$index]
            && status($reply) eq 'HIT';
    }
    return "@seen";
}

my $opened = connections { get('/plain') for 1 .. 8 };
is_deeply($opened, [1, 1], 'without sticky, two connections');

my $seen;
$opened = connections { $seen = two_rounds('none') };
# From nginx 1.29.7 on connections are kept without being asked for, in every upstream.
is_deeply($opened, $t->has_version('1.29.7') ? [1, 1] : [4, 4],
    'without keepalive, a connection for each request');
is($seen, '0 1 1 0 0 1 0 1', 'without keepalive, sessions hold');

for my $upstream (map { $_->[0] } @orders[1 .. $#orders]) {
    $opened = connections { $seen = two_rounds($upstream) };
    is($seen, '0 1 1 0 0 1 0 1', "$upstream: sessions hold");
    is_deeply($opened, [1, 1], "$upstream: connections of sessions are used again");
    $opened = connections { get("/$upstream?key=$_") for 1 .. 8 };
    is_deeply($opened, [0, 0], "$upstream: also by requests without a session");
}
