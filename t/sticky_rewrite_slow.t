#!/usr/bin/perl

# Tests for sticky mode=rewrite and clients that take their pages slowly; without it a page, or a
# part that SSI puts into it, may lack its end, or come to a halt, when not all can be sent at once.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;
use Sticky::Worker;

use IO::Uncompress::Gunzip qw/ gunzip /;

my $t = Test::Nginx->new()->has(qw/http proxy ssi gzip sub/)->plan(24);

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;
worker_processes 1;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    upstream u {
        sticky mode=rewrite text=raw;
        server 127.0.0.1:8081;
    }

    upstream scripts {
        sticky mode=rewrite text=raw;
        server 127.0.0.1:8082;
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;
        default_type text/html;

        location / {
            add_header X-Accel-Buffering $http_x_buffering;
        }
        location /missing {
            return 404 '<a href="/next">nothing</a>';
        }
    }

    server {
        listen       127.0.0.1:8080 sndbuf=32k;
        server_name  localhost;

        # What stops for good is cut after this time.
        send_timeout 20s;

        location / {
            proxy_pass http://u/;
        }
        location /off/ {
            proxy_buffering off;
            proxy_pass http://u/;
        }
        location /accel/ {
            proxy_set_header X-Buffering no;
            proxy_pass http://u/;
        }
        location /large/ {
            proxy_buffers 8 256k;
            proxy_buffer_size 256k;
            proxy_busy_buffers_size 512k;
            proxy_pass http://u/;
        }
        location /memory/ {
            proxy_max_temp_file_size 0;
            proxy_pass http://u/;
        }
        location /postponed/ {
            postpone_output 1m;
            proxy_pass http://u/;
        }
        location /limited/ {
            limit_rate 1m;
            proxy_pass http://u/;
        }
        location /gzip/ {
            gzip on;
            proxy_pass http://u/;
        }
        location /sub/ {
            sub_filter next other;
            sub_filter_once off;
            proxy_pass http://u/;
        }
        location /ssi/ {
            ssi on;
            proxy_pass http://u/;
        }
        location /ssi/off/ {
            ssi on;
            proxy_buffering off;
            proxy_pass http://u/;
        }
        location /ssi/large/ {
            ssi on;
            proxy_buffers 8 512k;
            proxy_buffer_size 512k;
            proxy_busy_buffers_size 1m;
            proxy_pass http://u/;
        }
        location /pieces/ {
            proxy_buffering off;
            proxy_pass http://scripts/;
        }
        location /pieces/buffered/ {
            proxy_pass http://scripts/;
        }
    }
}

EOC

my $link = '<p>some words and <a href="/next">a link</a></p>' . "\n";
my $page = $link x 40_000;
my $forms = '<form></form>' x 30_000;
my $part = '<li><a href=/part/%d>%d</a></li>' . "\n";
my @parts = map { my $n = $_; join '', map { sprintf $part, $n, $_ } 1 .. 60_000 } 1, 2;

# As they come to the client.
my ($a, $b) = map { '127.0.0.1:' . port($_) } 8081, 8082;
my $rewritten = $page =~ s!"/next"!"/next?route=$a"!gr;
my $longer = qq!<form><input type="hidden" name="route" value="$a" /></form>! x 30_000;
my @new = map { s!href=(/part/\d)!href="$1?route=$a"!gr } @parts;

$t->write_file('page', $page);
$t->write_file('forms', $forms);
$t->write_file("part$_", $parts[$_ - 1]) for 1, 2;
$t->write_file('with', "before<!--#include virtual=\"part1\" -->between$page"
    . '<!--#include virtual="part2" -->after');
my $with = "before$new[0]between$rewritten$new[1]after";
$t->write_file('waits', "before<!--#include virtual=\"part1\" wait=\"yes\" -->between"
    . '<!--#include virtual="missing" --><!--#include virtual="part2" -->');
my $waits = "before$new[0]between" . qq!<a href="/next?route=$a">nothing</a>! . $new[1];

$t->run_daemon(\&scripted, port(8082), 'B', $t->testdir());
$t->run()->waitforsocket('127.0.0.1:' . port(8082));
my $worker = eventually(sub { (workers($t))[0] });

# A reply that is not read before nginx has done what it can.
sub late {
    my ($uri, @headers) = @_;
    my $socket = get($uri, @headers, { start => 1 });
    idle($worker) or return 'never idle';
    return http_content(reply_of($socket));
}

# Whether two long texts are the same; says where they differ.
sub same {
    my ($got, $expected, $what) = @_;
    ok($got eq $expected, $what) and return;
    my ($common) = ($got ^ $expected) =~ /^(\0*)/;
    my $at = length $common;
    diag(sprintf '%d bytes instead of %d, from %d on: "%s" instead of "%s"', length $got,
        length $expected, $at, substr($got, $at, 80), substr($expected, $at, 80));
}

for my $path ('', qw! /off /accel /large /memory /postponed /limited !) {
    same(late("$path/page"), $rewritten, "page at '$path'");
    same(late("$path/forms"), $longer, "forms at '$path'");
}

my $packed = late('/gzip/page', 'Accept-Encoding' => 'gzip');
gunzip(\$packed => \my $unpacked);
same($unpacked, $rewritten, 'compressed for the client');
same(late('/sub/page'), $rewritten =~ s/next/other/gr, 'after another filter');

# Parts of a page: each waits for its turn.

for my $path ('/ssi', '/ssi/off', '/ssi/large') {
    same(late("$path/with"), $with, "two parts at '$path'");
    same(late("$path/waits"), $waits, "one after the other at '$path'");
}

# Single bytes.

my $small = $link x 20;
my $answer = script("Content-Type: text/html\x0d\x0a\x0d\x0a", split //, $small);
for my $path ('/pieces/', '/pieces/buffered/') {
    same(late($path, 'X-Script' => $answer), $small =~ s!"/next"!"/next?route=$b"!gr,
        "single bytes at '$path'");
}
