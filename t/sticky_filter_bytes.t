#!/usr/bin/perl

# Tests that a page passes byte for byte, flush for flush, whatever way it comes and goes; without
# them, reading a page for ids might change it.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

use Digest::MD5 qw/ md5_hex /;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite gzip sub ssi addition/)->plan(64);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    # The debug log would be most of the work.
    error_log %%TESTDIR%%/error.log notice;

    upstream sticky {
        sticky mode=query;
        server 127.0.0.1:8081;
    }

    upstream forms {
        sticky mode=query learn=forms,location;
        server 127.0.0.1:8081;
    }

    upstream plain {
        server 127.0.0.1:8081;
    }

    # The same locations three times: with html and forms, and, to compare, without the module.
    server {
        # A client that does not read holds a page up soon.
        listen       127.0.0.1:8080 sndbuf=32k;
        server_name  sticky;
        set $upstream sticky;
        include locations.conf;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  forms;
        set $upstream forms;
        include locations.conf;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  plain;
        set $upstream plain;
        include locations.conf;
    }
}

EOC

$t->write_file_expand('locations.conf', <<'EOC');

    add_header X-Status $sticky_status always;
    proxy_http_version 1.1;

    location / {
        proxy_pass http://$upstream;
    }

    location /unbuffered/ {
        proxy_pass http://$upstream;
        proxy_buffering off;
    }

    location /small/ {
        proxy_pass http://$upstream;
        proxy_buffer_size 1k;
        proxy_buffers 4 1k;
        proxy_busy_buffers_size 2k;
        proxy_temp_file_write_size 2k;
        output_buffers 1 512;
    }

    location /no_file/ {
        proxy_pass http://$upstream;
        proxy_buffer_size 1k;
        proxy_buffers 4 1k;
        proxy_busy_buffers_size 2k;
        proxy_max_temp_file_size 0;
    }

    location /gzip/ {
        proxy_pass http://$upstream;
        gzip on;
        gzip_min_length 0;
    }

    location /after/ {
        proxy_pass http://$upstream;
        sub_filter '?sid=' '?found=';
        sub_filter_once off;
        add_after_body /own;
        ssi on;
    }

    location /sendfile/ {
        proxy_pass http://$upstream;
        sendfile on;
        proxy_buffer_size 1k;
        proxy_buffers 4 1k;
        proxy_busy_buffers_size 2k;
    }

    location = /own {
        return 200 own;
    }
EOC

# A page of all bytes, and one of 5 MB whose ids stand at its end.

my $page = join '', map { "<p>$_</p><a href=\"/next?a=1&amp;sid=small\">" . chr($_) } 0 .. 255;
my $filler = join '', map { "line $_ <b>si</b> <a href='/item?s=$_'>\n" } 1 .. 2000;
my $large = '<html>' . substr($filler x 80, 0, 5_000_000) . '<a href="?sid=large">';
$t->write_file('page', $page);
$t->write_file('large', $large);
my $in_file = $large;
substr $in_file, 600_000 * $_, 30, "<a href='?sid=filed$_'>" . ' ' x 7 for 1 .. 7;
$t->write_file('in_file', $in_file);
$t->write_file('chunks', join('', map { sprintf "%x\r\n%s\r\n", length, $_ }
    unpack '(a700)*', $page) . "0\r\n\r\n");
$t->write_file('trailer', "5\r\nhello\r\n0\r\nX-Trailer: sid\r\n\r\n");

$t->run_daemon(\&scripted, port(8081), 'A', $t->testdir());
$t->waitforsocket('127.0.0.1:' . port(8081));
$t->run();

my $html = "Content-Type: text/html\r\n";
my $length = "Content-Length: " . length($page) . "\r\n\r\n";
my $large_length = "Content-Length: " . length($large) . "\r\n\r\n";
my $bytes = '<a href="?sid=by&amp;t=es">' . join '', map { chr } 0x80 .. 0xa0;

# Until nginx has put one more page into a file.
my $in_files = 0;
my $until_in_file = sub {
    eventually(sub {
        return $in_files < (() = $t->read_file('error.log') =~ /buffered to a temporary file/g);
    });
    $in_files = () = $t->read_file('error.log') =~ /buffered to a temporary file/g;
};

my @ways = (
    ['content-length',           '/', script("$html$length", \'@page'), $page],
    ['chunked',                  '/', script("${html}Transfer-Encoding: chunked\r\n\r\n",
        \'@chunks'), $page],
    ['close-delimited',          '/', script("$html\r\n", \'@page'), $page],
    ['HTTP/1.0 server',          '/', script("$html\r\n", \'@page'), $page, 'X-Version' => '1.0'],
    ['unbuffered',               '/unbuffered/', script("$html$length", \'@page'), $page],
    ['unbuffered, close-delimited', '/unbuffered/', script("$html\r\n", \'@page'), $page],
    ['byte by byte',             '/unbuffered/', script("$html\r\n",
        map { ($_, \0.001) } split //, $bytes), $bytes],
    ['byte by byte, buffered',   '/', script("$html\r\n",
        map { ($_, \0.001) } split //, $bytes), $bytes],
    ['small buffers',            '/small/', script("$html$length", \'@page'), $page],
    ['small buffers, no file',   '/no_file/', script("$html$length", \'@page'), $page],
    ['5 MB',                     '/', script("$html$large_length", \'@large'), $large],
    ['5 MB, unbuffered',         '/unbuffered/', script("$html$large_length", \'@large'), $large],
    ['5 MB, slow client, temporary file', '/small/', script("$html$large_length", \'@large'),
        $large, slow => $until_in_file],
    ['5 MB, slow client, sendfile', '/sendfile/', script("$html$large_length", \'@in_file'),
        $in_file, slow => $until_in_file],
    ['5 MB, slow client, no file', '/no_file/', script("$html$large_length", \'@large'),
        $large, slow => sub { sleep 0.2 }],
    ['empty',                    '/', script("${html}Content-Length: 0\r\n\r\n"), ''],
    ['empty, close-delimited',   '/', script("$html\r\n"), ''],
    ['cut short',                '/unbuffered/', script("${html}Content-Length: 5000\r\n\r\n",
        '<a href="?sid=cut">'), '<a href="?sid=cut">'],
    ['another type',             '/', script("Content-Type: image/png\r\n$length", \'@page'),
        $page],
);

for my $way (@ways) {
    my ($what, $uri, $script, $content, %headers) = @$way;
    my %reply = map { $_ => ask_host($_, $uri, $script, %headers) } qw/ plain sticky forms /;
    is(md5_hex(body($reply{plain})), md5_hex($content), "$what: as it is without the module");
    for my $name (qw/ sticky forms /) {
        is(digest($reply{$name}), digest($reply{plain}), "$what: the same, $name");
    }
}

# What nginx itself makes of a page after us; what we learn stands in it before.

my $script = script("$html$length", \'@page');
my %reply = map { $_ => ask_host($_, '/gzip/', $script, 'Accept-Encoding' => 'gzip') }
    qw/ plain sticky /;
like($reply{sticky}, qr/^Content-Encoding: gzip/m, 'gzip for the client');
is(digest($reply{sticky}), digest($reply{plain}), 'gzip: the same');

my $include = '<a href="?sid=ssi"> <!--#include virtual="/own" -->';
$script = script("$html\r\n", $include);
%reply = map { $_ => ask_host($_, '/after/', $script) } qw/ plain sticky /;
is(body($reply{sticky}), '<a href="?found=ssi"> ownown', 'sub_filter, ssi and addition after us');
is(digest($reply{sticky}), digest($reply{plain}), 'sub_filter, ssi and addition: the same');

my @ids = (qw/ small large ssi /, map { "filed$_" } 1 .. 7);
is(join(' ', map { status(ask_host('sticky', "/?sid=$_", script("\r\n"))) } @ids),
    join(' ', ('HIT') x @ids), 'ids were learned all the while');
like($t->read_file('error.log'), qr/buffered to a temporary file/, 'also from temporary files');

# One connection, one page after the other.

my $requests = join '', map { "GET / HTTP/1.1\r\nHost: sticky\r\n"
    . ($_ == 3 ? "Connection: close\r\n" : '') . 'X-Script: '
    . script("${html}Content-Length: 21\r\n\r\n", "<a href='/?sid=pipe$_'") . "\r\n\r\n" } 1 .. 3;
my @pages = http($requests) =~ /(<a href='\/\?sid=pipe\d')/g;
is(scalar @pages, 3, 'three pages on one connection');

sub ask_host {
    my ($host, $uri, $script, %headers) = @_;
    my $slow = delete $headers{slow};
    my $text = "GET $uri HTTP/1.1\r\nHost: $host\r\nConnection: close\r\nX-Script: $script\r\n"
        . join('', map { "$_: $headers{$_}\r\n" } sort keys %headers) . "\r\n";
    return http($text) // '' unless $slow;

    # While nothing is read here, nginx has to put the page somewhere.
    my $socket = http($text, start => 1);
    $slow->();
    return http('', socket => $socket) // '';
}

sub body { return http_content($_[0]) // 'no answer' }

# The reply without what is new in each.
sub digest {
    my ($reply) = @_;
    my ($head) = split /\r\n\r\n/, $reply, 2;
    $head =~ s/^(Date|X-Status): .*?\r\n//mg;
    $head =~ s/\r\nX-Status: \w+\z//;
    return "$head\n" . md5_hex(body($reply));
}
