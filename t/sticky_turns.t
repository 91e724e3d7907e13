#!/usr/bin/perl

# Tests for bodies that take long to read, which are read in several turns of the event loop: what is
# held back meanwhile arrives whole and in order, however it is sent and whoever stops, and the ids in
# it are learned; without them, one page could hold up all requests of a worker, or lose its end.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;
use Sticky::Peers qw/ needs curl /;

use Digest::MD5 qw/ md5_hex /;
use IO::Compress::Gzip qw/ gzip /;
use IO::Uncompress::Gunzip qw/ gunzip /;

needs('curl with HTTP/2');

my $t = Test::Nginx->new()->has(qw/ http http_v2 proxy rewrite ssi gzip /)->plan(41);

# nginx has said so in a directive of its own since 1.25.1.
my ($listen, $http_2) = $t->has_version('1.25.1') ? ('', 'http2 on;') : (' http2', '');

my $locations = join '', map {
    my ($path, $what) = @$_;
    qq!
        location /$path/ { $what proxy_pass http://u/; }
        location /$path/rewritten/ { $what proxy_pass http://r/rewritten/; }
    !
} (
    ['buffered', ''],
    ['off', 'proxy_buffering off;'],
    ['large', 'proxy_buffers 8 1m; proxy_buffer_size 1m; proxy_busy_buffers_size 4m;'],
    ['one', 'proxy_buffers 2 4k; proxy_buffer_size 4k; proxy_busy_buffers_size 4k; proxy_max_temp_file_size 0;'],
    ['gzip', 'gzip on; gzip_types *; gzip_http_version 1.0;'],
    ['slow', 'limit_rate 2m;'],
);

my $conf = <<"EOC";

%%TEST_GLOBALS%%

daemon off;
worker_processes 1;
worker_shutdown_timeout 60s;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    upstream u {
        sticky mode=query name=sid name=osCsid learn=html,sse;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream r {
        sticky mode=rewrite;
        server 127.0.0.1:8081;
    }

    server {
        listen       127.0.0.1:8081;
        listen       127.0.0.1:8082;
        server_name  localhost;
        root         %%TESTDIR%%/html;
        add_header   X-Server \$server_port;
        types { }
        default_type text/html;
        location /events { default_type text/event-stream; }
        location /packed { add_header Content-Encoding gzip; add_header X-Server \$server_port; }
        location /short { return 200 "short"; }
    }

    server {
        listen       127.0.0.1:8080 sndbuf=32k;
        listen       127.0.0.1:8083$listen;
        $http_2
        server_name  localhost;
        add_header   X-Status \$sticky_status;
        error_log    %%TESTDIR%%/debug.log debug;
        $locations
        location /page {
            ssi on;
            return 200 '<!--# include virtual="/buffered/page.html" -->|<!--# include virtual="/off/events" -->|<!--# include virtual="/large/page.html" -->|end';
            default_type text/html;
        }
    }
}

EOC

# Bodies of 1 MB that take long, with an id at the very end.
my %body = (
    'page.html' => '>?sid=' x 170_000 . '<a href="?sid=last-of-page">',
    'events' => "data:?osCsid=\n\n" x 70_000 . "data: /?sid=last-of-events&x\n\n",
    'rewritten/page.html' => '<a href="/next">a</a>' x 50_000 . '<a href="/last">a</a>',
    'none' => 'none',
);
# No shorter than that, or no more of it is read.
my $random = sub { join '', map { chr(97 + rand 26) } 1 .. 60 };
my $dear = join '', map { '>?sid=' x 600 . $random->() } 1 .. 64;
gzip(\"$dear<a href=\"?sid=last-of-packed\">" => \$body{'packed.html'});
mkdir $t->testdir() . '/html';
mkdir $t->testdir() . '/html/rewritten';
for (keys %body) {
    open my $file, '>', $t->testdir() . "/html/$_" or die "Can't write $_: $!";
    print {$file} $body{$_};
}
$t->write_file_expand('nginx.conf', $conf);
$t->run();

for my $path (qw/ buffered off large one slow /) {
    for my $name (qw/ page.html events packed.html /) {
        # Ids that are known already need not be learned.
        $t->stop();
        $t->run();
        my $reply = get("/$path/$name");
        is(md5_hex(http_content($reply)), md5_hex($body{$name}), "/$path/$name arrives as it is");
        my ($id) = $name =~ /(\w+)/;
        $id = "last-of-$id";
        my $server = served_by($reply);
        my @after = map { get("/buffered/none?sid=$id") } 1 .. 3;
        is(join(' ', map { status($_) . served_by($_) } @after), join(' ', ("HIT$server") x 3),
            "/$path/$name: its last id is known");
    }
}
ok($t->read_file('debug.log') =~ /sticky: the rest of the body is read in a later turn of the event loop/,
    'not all was read in one turn');

# What a filter behind makes of it.
gunzip(\(http_content(get('/gzip/page.html'))) => \my $text);
is(md5_hex($text // ''), md5_hex($body{'page.html'}), 'packed by nginx');
my $ssi = http_content(get('/page'));
is(md5_hex($ssi), md5_hex(join '|', @body{qw/ page.html events page.html /}, 'end'), 'parts of a page, in order');

# Rewritten.
for my $path (qw/ buffered off large /) {
    my $page = http_content(get("/$path/rewritten/page.html"));
    my $links = () = $page =~ m!<a href="/next\?route=!g;
    is("$links " . ($page =~ m!<a href="/last\?route=[^"]+">a</a>\z! ? 'whole' : substr $page, -60),
        '50000 whole', "/$path/rewritten/page.html");
}

# Many at once, beside others, some of which go away.
my @gone = map { get('/large/page.html', { start => 1 }) } 1 .. 10;
my @clients = map { get($_ % 2 ? '/buffered/page.html' : '/off/events', { start => 1 }) } 1 .. 20;
close $_ for @gone;
is(http_content(get('/buffered/short')), 'short', 'others are served');
my %seen;
$seen{ md5_hex(http_content(reply_of($_))) }++ for @clients;
is_deeply(\%seen, { map { (md5_hex($body{$_}) => 10) } qw/ page.html events / }, 'all arrive');

# A stream of HTTP/2.
my $origin = 'http://127.0.0.1:' . port(8083);
for my $name (qw/ page.html events /) {
    my $text = curl('--http2-prior-knowledge', "$origin/large/$name");
    is(md5_hex($text), md5_hex($body{$name}), "/large/$name over HTTP/2");
}

# While the worker is replaced.
@clients = map { get('/large/page.html', { start => 1 }) } 1 .. 4;
$t->reload();
%seen = ();
$seen{ md5_hex(http_content(reply_of($_))) }++ for @clients;
is_deeply(\%seen, { md5_hex($body{'page.html'}) => 4 }, 'a worker that quits ends what it has begun');
