#!/usr/bin/perl

# Tests for servers that are spoken to over TLS, whose sessions nginx keeps for each server and uses
# again (proxy_ssl_session_reuse); without them each steered request shakes hands anew, or brings
# the session of another server.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Peers qw/ needs certificate held_by_all upstreams locations /;
use Sticky::PeersShops qw/ http_shop /;

use Digest::MD5 qw/ md5_hex /;

needs('openssl');

my $t = Test::Nginx->new()->has(qw/
    http http_ssl proxy rewrite upstream_hash upstream_keepalive upstream_least_conn upstream_random
    upstream_zone
/);

# TLS 1.2 has sessions, 1.3 has tickets that arrive after the handshake.
my %upstreams = (
    plain      => '',
    zone       => 'zone zone 64k;',
    least      => 'least_conn;',
    hash       => 'hash $arg_key consistent;',
    random     => 'random;',
    kept       => 'keepalive 4;',
    least_zone => 'zone least_zone 64k; least_conn; keepalive 4;',
);
$t->plan(2 * 3 * keys(%upstreams) + 7);

my $upstreams = join '', map { <<"EOC" } sort keys %upstreams;
    upstream $_ {
        sticky;
        $upstreams{$_}
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
        server 127.0.0.1:8087 backup;
    }
EOC
# Those balancers know no backup servers.
$upstreams =~ s/((?:hash|random)[^}]*?)\n\s+server \S+ backup;/$1/g;

my ($shop_upstreams, $shop_locations) = (
    upstreams(join "\n        ", map { "server 127.0.0.1:$_;" } 8081 .. 8083),
    locations('proxy_pass https://UPSTREAM;'),
);

my $servers = join '', map { <<"EOC" } 8081 .. 8083, 8087;
    server {
        listen       127.0.0.1:$_ ssl;
        server_name  localhost;
        ssl_session_cache shared:tls$_:1m;

        location / {
            add_header X-Server \$server_port;
            add_header X-Reused \$ssl_session_reused;
            add_header X-Protocol \$ssl_protocol;
            return 200;
        }

        # The shop speaks no TLS.
        location ~ ^/(cookie|none|query)/ {
            proxy_pass http://127.0.0.1:@{[ $_ + 3 ]};
        }
    }
EOC

certificate($t, 'localhost');

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;
worker_processes 1;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    ssl_certificate      localhost.crt;
    ssl_certificate_key  localhost.key;
    ssl_protocols        TLSv1.2 TLSv1.3;

$upstreams
$shop_upstreams
    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        add_header                     X-Status \$sticky_status always;
        proxy_ssl_verify               on;
        proxy_ssl_trusted_certificate  localhost.crt;
        proxy_ssl_name                 localhost;
        # From nginx 1.29.7 on connections are kept, and one that is kept has no handshake.
        proxy_http_version             1.0;

$shop_locations
        location ~ ^/1.2/(\\w+)\$ {
            proxy_pass https://\$1;
            proxy_ssl_protocols TLSv1.2;
        }

        location ~ ^/1.3/(\\w+)\$ {
            proxy_pass https://\$1;
            proxy_ssl_protocols TLSv1.3;
        }

        location ~ ^/off/(\\w+)\$ {
            proxy_pass https://\$1;
            proxy_ssl_session_reuse off;
        }
    }

$servers
}

EOC

my @ports = map { port($_) } 8081 .. 8083;
my %cookies = map { $_ => 'Cookie: route=' . md5_hex("127.0.0.1:$_") } @ports, port(8087);
my @shops = map { port($_) } 8084 .. 8086;
http_shop($t, @shops);
$t->run();
$t->waitforsocket("127.0.0.1:$_") for @shops;

# Besides server and status, whether its TLS session was used again: 'r', or '.' for a handshake
# anew.
my $reused = { show => ['X-Reused'] };

for my $version ('1.2', '1.3') {
    for my $upstream (sort keys %upstreams) {
        my $uri = "/$version/$upstream";

        # nginx keeps a session with the server, whoever chose it.
        visit($uri, $cookies{$_}) for @ports;
        is_deeply([map { visit($uri, $cookies{$_}, $reused) } (@ports) x 3],
            [map { "$_ HIT r" } (@ports) x 3], "TLS $version, $upstream: steered");
        like(join(', ', map { visit("$uri?key=$_", $reused) } 1 .. 6), qr/^(?:\d+ (?:NEW|NONE) r(?:, |$)){6}/,
            "TLS $version, $upstream: balanced, with the sessions of steered requests");
        is(header('X-Protocol', get($uri)), "TLSv$version", "TLS $version, $upstream: protocol");
    }
}

# A backup server has a session of its own.

my $backup = port(8087);
for my $upstream (qw/ plain zone /) {
    visit("/1.3/$upstream", $cookies{$backup});
    is_deeply([map { visit("/1.3/$upstream", $cookies{$_}, $reused) } $backup, $ports[0], $backup],
        ["$backup HIT r", "$ports[0] HIT r", "$backup HIT r"], "$upstream: backup server");
}

is_deeply([map { visit('/off/plain', $cookies{$_}, $reused) } (@ports) x 2],
    [map { "$_ HIT ." } (@ports) x 2], 'without proxy_ssl_session_reuse');

# The shop, whose name each server of it adds.

held_by_all('TLS');
