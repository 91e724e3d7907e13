#!/usr/bin/perl

# Tests for sticky mode=rewrite and clients that take large pages slowly or not at all; without it a
# worker holds in memory whatever the servers have sent and the clients have not yet read, and needs
# more time for each piece of a page the more of it there is.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Worker;

my $t = Test::Nginx->new()->has(qw/http proxy sub/)->plan(11);

my $locations = join '', map {
    my ($path, $what) = @$_;
    qq!
        location $path/rewrite/ {
            $what
            proxy_pass http://u/;
        }
        location $path/sub/ {
            $what
            sub_filter '"/next' '"/next?a=0123456789abcdef0123456789abcdef';
            sub_filter_once off;
            proxy_pass http://plain/;
        }
    !
} (
    ['',       ''],
    ['/off',   'proxy_buffering off;'],
    ['/accel', 'proxy_set_header X-Buffering no;'],
    ['/large', 'proxy_buffers 8 1m; proxy_buffer_size 1m; proxy_busy_buffers_size 4m;'],
);

my $conf = <<"EOC";

%%TEST_GLOBALS%%

daemon off;
worker_processes 1;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    sendfile on;

    upstream u {
        sticky mode=rewrite;
        server 127.0.0.1:8081;
    }

    upstream plain {
        server 127.0.0.1:8081;
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;
        default_type text/html;
        add_header   X-Accel-Buffering \$http_x_buffering;
    }

    server {
        listen       127.0.0.1:8080 sndbuf=32k;
        server_name  localhost;
        $locations
    }
}

EOC

$t->write_file_expand('nginx.conf', $conf);

my $line = 'some words and <a href="/next">a link</a>' . "\n";
for my $size (4, 16, 50) {
    open my $file, '>', $t->testdir() . "/$size.html" or die "Can't write: $!";
    my $some = $line x (1_000_000 / length $line);
    print {$file} $some for 1 .. $size;
}
# Much becomes of little.
$t->write_file('forms.html', '<form></form>' x 500_000);

$t->run();

use constant CLIENTS => 8;

# By how many KB a new worker grows for eight clients that ask for a page and do not read.
my $growth = sub {
    my ($uri) = @_;
    reload_with($t, $conf);
    my ($worker) = workers($t);
    my $before = memory_of($worker);
    my @clients = map { get($uri, { start => 1 }) } 1 .. CLIENTS;
    idle($worker) or return 'inf';
    return memory_of($worker) - $before;
};

for my $case (
    ['/rewrite/50.html',       '/sub/50.html',       'pages in a file'],
    ['/off/rewrite/50.html',   '/off/sub/50.html',   'pages without proxy_buffering'],
    ['/accel/rewrite/50.html', '/accel/sub/50.html', 'pages without it by their own wish'],
    ['/large/rewrite/16.html', '/large/sub/16.html', 'pages in large buffers'],
    ['/large/rewrite/forms.html', '/large/sub/forms.html', 'pages that become much longer'],
) {
    my ($rewrite, $sub, $what) = @$case;
    $rewrite = $growth->($rewrite);
    $sub = $growth->($sub);
    cmp_ok($rewrite, '<', $sub + CLIENTS * 1024, "$what: at most 1 MB each more than sub_filter");
    diag("$what: rewrite $rewrite KB, sub_filter $sub KB");
}

# Time for a page of which the client reads nothing until nginx has done what it can.

my $worker = eventually(sub { (workers($t))[0] });

sub time_for {
    my ($uri) = @_;
    my $before = cpu_of($worker);
    my $client = get($uri, { start => 1 });
    idle($worker);
    my $body = http_content(reply_of($client));
    my $time = cpu_of($worker) - $before;
    my $links = () = $body =~ /"\/next\?route=/g;
    return ($time, $links);
}

for my $path ('', '/off', '/accel') {
    my ($short, $few) = time_for("$path/rewrite/4.html");
    my ($long, $many) = time_for("$path/rewrite/16.html");
    is($many, 4 * $few, "all links at '$path'");
    cmp_ok($long, '<', 8 * $short, "time goes with the size at '$path'");
    diag("$short s for 4 MB, $long s for 16 MB");
}
