#!/usr/bin/perl

# Tests for a reload with other servers and in another order; without these, every change of the
# configuration mixes up the sessions of everybody.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;

use Digest::MD5 qw/ md5_hex /;

my $t = Test::Nginx->new()->has(qw/
    http proxy rewrite upstream_keepalive upstream_least_conn upstream_zone
/)->plan(20);

my $configuration = <<'EOC';

%%TEST_GLOBALS%%

daemon off;
worker_processes 4;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    upstream plain {
        sticky;
        SERVERS
    }

    upstream zone {
        zone zone 64k;
        least_conn;
        sticky;
        keepalive 4;
        SERVERS
    }

    upstream index {
        sticky hash=index;
        SERVERS
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        add_header X-Status  $sticky_status;
        add_header X-Version VERSION;

        location ~ ^/(\w+)$ {
            proxy_pass http://$1;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
    }

    server {
        listen 127.0.0.1:8081;
        listen 127.0.0.1:8082;
        listen 127.0.0.1:8083;
        listen 127.0.0.1:8084;

        location / {
            add_header X-Server $server_port;
            return 200;
        }
    }
}

EOC

my %value = map { $_ => md5_hex('127.0.0.1:' . port($_)) } 8081 .. 8084;
my $version = 0;

sub write_servers {
    my ($t, @servers) = @_;
    $version++;
    my $lines = join "\n        ", map { "server 127.0.0.1:$_;" } @servers;
    $t->write_file_expand('nginx.conf',
        $configuration =~ s/SERVERS/$lines/gr =~ s/VERSION/$version/r);
}

# Number of the server that a cookie leads to, and the status; by a worker of this version.
sub leads_to {
    my ($upstream, $value) = @_;
    my $reply;
    eventually(sub {
        $reply = get("/$upstream", "Cookie: route=$value");
        return header('X-Version', $reply) eq $version;
    });
    my ($number) = grep { port($_) eq served_by($reply) } 8081 .. 8084;
    return "$number " . status($reply);
}

write_servers($t, 8081, 8082, 8083);
$t->run();

for my $upstream (qw/ plain zone /) {
    is_deeply([map { leads_to($upstream, $value{$_}) } 8081 .. 8083],
        ['8081 HIT', '8082 HIT', '8083 HIT'], "$upstream: before");
}
is_deeply([map { leads_to('index', $_) } 0 .. 2], ['8081 HIT', '8082 HIT', '8083 HIT'],
    'index: before');

# another order, and a server more

write_servers($t, 8083, 8084, 8082, 8081);
$t->reload();

for my $upstream (qw/ plain zone /) {
    for my $number (8081 .. 8084) {
        my %seen;
        $seen{leads_to($upstream, $value{$number})}++ for 1 .. 4;
        is_deeply(\%seen, { "$number HIT" => 4 },
            "$upstream: sessions of $number are kept in another order");
    }
}
is_deeply([map { leads_to('index', $_) } 0 .. 3], ['8083 HIT', '8084 HIT', '8082 HIT', '8081 HIT'],
    'index: the cookie is the place');

# two servers less

write_servers($t, 8082, 8084);
$t->reload();

for my $upstream (qw/ plain zone /) {
    for my $number (8082, 8084) {
        is(leads_to($upstream, $value{$number}), "$number HIT",
            "$upstream: sessions of $number are kept when others leave");
    }
    like(leads_to($upstream, $value{8081}), qr/^(?:8082|8084) MISS$/,
        "$upstream: sessions of a server that has left are balanced");
}

# and back again

write_servers($t, 8081, 8082, 8083);
$t->reload();

is(leads_to('plain', $value{8081}), '8081 HIT', 'plain: back again');
is(leads_to('zone', $value{8083}), '8083 HIT', 'zone: back again');
