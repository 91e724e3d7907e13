#!/usr/bin/perl

# Tests for an upstream with a zone and four workers, which share its servers; without the right
# list of servers in each worker, sessions hold in some of them only.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;

use Digest::MD5 qw/ md5_hex /;

my @upstreams = (
    [plain => ''],
    [zone => 'zone zone 64k;'],
    [zone_least => 'zone zone_least 64k; least_conn;'],
    [zone_keepalive => 'zone zone_keepalive 64k; keepalive 4;'],
    [zone_hash => 'zone zone_hash 64k; hash $request_uri consistent; keepalive 4;'],
);

my $t = Test::Nginx->new()->has(qw/
    http proxy rewrite upstream_hash upstream_keepalive upstream_least_conn upstream_zone
/)->plan(3 * @upstreams + 1);

# Hash knows no backup servers.
my $upstreams = join '', map {
    my ($name, $lines) = @$_;
    my $backup = $lines =~ /hash/ ? '' : ' backup';
    <<"EOC" } @upstreams;
    upstream $name {
        $lines
        sticky;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083$backup;
    }
EOC

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;
worker_processes 4;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

$upstreams

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location ~ ^/(\\w+)\$ {
            proxy_pass http://\$1;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            add_header X-Status \$sticky_status;
            add_header X-Worker \$pid;
        }
    }

    server {
        listen 127.0.0.1:8081;
        listen 127.0.0.1:8082;
        listen 127.0.0.1:8083;

        location / {
            add_header X-Server \$server_port;
            return 200;
        }
    }
}

EOC

$t->run();

# Connections that wait at the same time are spread over the workers: one after the other would
# mostly be taken by the same.

my %workers;

for my $upstream (map { $_->[0] } @upstreams) {
    for my $number (8081, 8082, 8083) {
        my $port = port($number);
        my $value = md5_hex("127.0.0.1:$port");
        my @sockets = map { get("/$upstream", "Cookie: route=$value", { start => 1 }) } 1 .. 16;
        my %seen;
        for my $socket (@sockets) {
            my $reply = do { local $/; <$socket> };
            $workers{header('X-Worker', $reply)}++;
            $seen{join ' ', served_by($reply), status($reply), cookies($reply)}++;
        }
        is_deeply(\%seen, { "$port HIT route=$value; Path=/" => 16 },
            "$upstream: sessions hold on server $number");
    }
}

cmp_ok(scalar(keys %workers), '>', 1, 'several workers have answered');
