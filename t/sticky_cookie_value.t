#!/usr/bin/perl

# Tests for the value of the cookie; without the right one, clients of nginx-sticky-module-ng lose
# their sessions on the day of the change, and no cookie leads back to its server.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;

use Digest::MD5 qw/ md5 md5_hex /;
use Digest::SHA qw/ sha1_hex sha256_hex hmac_sha1_hex hmac_sha256_hex /;

# Name of the upstream, words of its directive, value for the printable address at a place.
my $long_key = 'k' x 100;
my @recipes = (
    [bare => '', sub { md5_hex($_[0]) }],
    [md5 => 'hash=md5', sub { md5_hex($_[0]) }],
    [sha1 => 'hash=sha1', sub { sha1_hex($_[0]) }],
    [sha256 => 'hash=sha256', sub { sha256_hex($_[0]) }],
    [index => 'hash=index', sub { $_[1] }],
    [raw => 'text=raw', sub { $_[0] }],
    [hmac_md5 => 'hmac=md5 hmac_key=secret', sub { hmac_md5_hex($_[0], 'secret') }],
    [hmac_sha1 => 'hmac=sha1 hmac_key=secret', sub { hmac_sha1_hex($_[0], 'secret') }],
    [hmac_sha256 => 'hmac=sha256 hmac_key=secret', sub { hmac_sha256_hex($_[0], 'secret') }],
    [hmac_long => "hmac=md5 hmac_key=$long_key", sub { hmac_md5_hex($_[0], $long_key) }],
);

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(4 * @recipes + 4);

my $upstreams = join '', map { <<"EOC" } @recipes;
    upstream $_->[0] {
        sticky $_->[1];
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
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

    # The printable address of a unix socket is its path.
    upstream unix {
        sticky text=raw;
        server unix:%%TESTDIR%%/one.sock;
        server unix:%%TESTDIR%%/two.sock;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location ~ ^/(\\w+)\$ {
            proxy_pass http://\$1;
            add_header X-Status \$sticky_status;
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

    server {
        listen unix:%%TESTDIR%%/one.sock;
        location / {
            add_header X-Server one;
            return 200;
        }
    }

    server {
        listen unix:%%TESTDIR%%/two.sock;
        location / {
            add_header X-Server two;
            return 200;
        }
    }
}

EOC

$t->run();

my @ports = (port(8081), port(8082), port(8083));

for my $recipe (@recipes) {
    my ($upstream, undef, $value_of) = @$recipe;
    my %value = map { $ports[$_] => $value_of->("127.0.0.1:$ports[$_]", $_) } 0 .. 2;

    # The cookie names the server that answered, whichever that was.

    my (@given, @expected);
    for (1 .. 6) {
        my $reply = get("/$upstream");
        push @given, cookies($reply);
        push @expected, "route=$value{served_by($reply)}; Path=/";
    }
    is_deeply(\@given, \@expected, "$upstream: cookie of the server that answered");

    # And it leads back there.

    for my $port (@ports) {
        my %seen;
        $seen{visit("/$upstream", "Cookie: route=$value{$port}")}++ for 1 .. 4;
        is_deeply(\%seen, { "$port HIT" => 4 }, "$upstream: cookie of $port leads to it");
    }
}

like(visit('/index', 'Cookie: route=3'), qr{^\d+ MISS$}, 'index: there is no fourth server');

for my $name (qw/ one two /) {
    my $path = 'unix:' . $t->testdir() . "/$name.sock";
    is(visit('/unix', "Cookie: route=$path"), "$name HIT", "unix socket $name found by its path");
}

my $reply = get('/unix');
my $path = 'unix:' . $t->testdir() . '/' . served_by($reply) . '.sock';
is_deeply([cookies($reply)], ["route=$path; Path=/"], 'cookie of a unix socket is its path');

# RFC 2104; Digest::SHA has the others.
sub hmac_md5_hex {
    my ($text, $key) = @_;
    $key = md5($key) if length $key > 64;
    my ($inner, $outer) = map { ($key ^ ("\0" x 64)) ^ (chr($_) x 64) } 0x36, 0x5c;
    return md5_hex($outer . md5($inner . $text));
}
