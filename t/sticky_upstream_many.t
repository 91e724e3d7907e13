#!/usr/bin/perl

# Tests for upstreams of more servers than a machine word has bits, and for servers that are listed
# twice; without these, a request is steered out of bounds, asks one server twice, or leaves one
# out.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;

use Digest::MD5 qw/ md5_hex /;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite upstream_zone /)->plan(29);

# Nobody listens on 127.0.0.2 and so on. An upstream of 130 servers, the one at $live alive.
sub upstream {
    my ($name, $live, $lines, %words) = @_;
    my $servers = join "\n        ", map {
        my $address = $_ == $live ? '127.0.0.1:8081' : '127.0.0.' . (100 + $_) . ':%%PORT_8083%%';
        my $words = $words{$_} // '';
        "server $address max_fails=0 $words;";
    } 0 .. 129;
    return <<"EOC";
    upstream $name {
        $lines
        sticky hash=index;
        $servers
    }
EOC
}

my $upstreams = join '',
    upstream('live_70', 70, ''),
    upstream('live_70_zone', 70, 'zone live_70_zone 1m;'),
    upstream('live_129', 129, 'least_conn;'),
    upstream('live_6', 6, ''),
    upstream('live_6_zone', 6, 'zone live_6_zone 1m;'),
    upstream('heavy', 6, '', 70 => 'weight=1000'),
    upstream('heavy_least', 6, 'least_conn;', 70 => 'weight=1000'),
    upstream('backup', 129, '', map { $_ => 'backup' } 10 .. 129);

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;
worker_processes 1;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

$upstreams

    upstream twice {
        sticky;
        server 127.0.0.1:8081;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    # Equal peers, of which the last one is never asked.
    upstream twice_down {
        sticky;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8081 down;
    }

    upstream twice_down_zone {
        zone twice_down_zone 64k;
        sticky;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8081 down;
    }

    upstream twice_index {
        sticky hash=index;
        server 127.0.0.1:8081;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location ~ ^/(\\w+)\$ {
            proxy_pass http://\$1;
            add_header X-Status \$sticky_status always;
            add_header X-Tried \$upstream_addr always;
        }
    }

    server {
        listen 127.0.0.1:8081;
        listen 127.0.0.1:8082;

        location / {
            add_header X-Server \$server_port;
            return 200;
        }
    }
}

EOC

$t->run();

my ($first, $second) = (port(8081), port(8082));

# Steered at once to a server beyond the first word of bits.

is(tried('live_70', 70), "$first HIT, tried 1", 'server 70 of 130');
is(tried('live_70_zone', 70), "$first HIT, tried 1", 'server 70 of 130, in a zone');
is(tried('live_129', 129), "$first HIT, tried 1", 'server 129 of 130');
is(tried('backup', 129), "$first HIT, tried 1", 'backup server 119 of 120 beside 10 others');

# Steered to one that does not answer: it counts as asked, the one with the same bit in another
# word does not, and no server is asked twice.

for my $upstream (qw/ live_6 live_6_zone heavy heavy_least /) {
    my $reply = get("/$upstream", 'Cookie: route=70');
    is(served_by($reply), $first, "$upstream: the one that answers is found");
    my @tried = split /, /, header('X-Tried', $reply);
    like($tried[0], qr/^127\.0\.0\.170:/, "$upstream: after its own server");
    my %tried = map { $_ => 1 } @tried;
    is(scalar(@tried), scalar(keys %tried), "$upstream: none is asked twice");
    is_deeply([cookies($reply)], ['route=6; Path=/'], "$upstream: the session is there now");
}

# From a backup server with a bit that no primary server has: it is not in the way of the others.

my $reply = get('/backup', 'Cookie: route=100');
is(served_by($reply), $first, 'backup: the one that answers is found');
my @tried = split /, /, header('X-Tried', $reply);
like($tried[0], qr/^127\.0\.0\.200:/, 'backup: after its own server');

# An address that is listed twice

my %value = map { $_ => md5_hex("127.0.0.1:$_") } $first, $second;
my %seen;
for (1 .. 6) {
    my $reply = get('/twice');
    $seen{join ' ', served_by($reply), cookies($reply)}++;
}
is_deeply(\%seen, { "$first route=$value{$first}; Path=/" => 4,
    "$second route=$value{$second}; Path=/" => 2 }, 'listed twice: has two parts of three');
for my $port ($first, $second) {
    my %seen;
    $seen{tried('twice', $value{$port})}++ for 1 .. 4;
    is_deeply(\%seen, { "$port HIT, tried 1" => 4 }, 'listed twice: session');
}
is_deeply([map { tried('twice_index', $_) } 0 .. 2],
    ["$first HIT, tried 1", "$first HIT, tried 1", "$second HIT, tried 1"],
    'listed twice: both places lead to it');

is(tried($_, $value{$first}), "$first HIT, tried 1", "$_: a session goes to the first of two")
    for qw/ twice_down twice_down_zone /;
is(tried('twice', $value{$second}), "$second HIT, tried 1", 'beside one that is listed twice');

# Server and status of a request with this cookie, and how many servers were tried.
sub tried {
    my ($upstream, $value) = @_;
    my $reply = get("/$upstream", "Cookie: route=$value");
    my @tried = split /, /, header('X-Tried', $reply);
    return served_by($reply) . ' ' . status($reply) . ', tried ' . @tried;
}
