#!/usr/bin/perl

# Tests for compressed responses: they pass as they are, and what is packed in them is read; what
# cannot be unpacked is not, and the log says so once. Without them an operator searches in vain for
# the sessions of servers that compress.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

use IO::Compress::Gzip qw/ gzip /;

my $t = Test::Nginx->new()->has(qw/http proxy gzip gunzip/)->plan(20);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    upstream u {
        sticky mode=query;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream v {
        sticky mode=query learn=forms,location;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream quiet {
        sticky mode=query learn=location;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream plain {
        server 127.0.0.1:8081;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        location / {
            proxy_pass http://u/;
        }

        location /v/ {
            proxy_pass http://v/;
        }

        location /quiet/ {
            proxy_pass http://quiet/;
        }

        location /plain/ {
            proxy_pass http://plain/;
        }

        location /gunzip/ {
            gunzip on;
            proxy_pass http://u/;
        }

        location /gunzip_plain/ {
            gunzip on;
            proxy_pass http://plain/;
        }
    }
}

EOC

$t->run_daemon(\&scripted, port(8081), 'A', $t->testdir());
$t->run_daemon(\&scripted, port(8082), 'B', $t->testdir());
$t->waitforsocket('127.0.0.1:' . port($_)) for 8081, 8082;
$t->run();

# Packed, and passed on so.

my $reply = get('/', 'X-Script' => packed('packed'));
http_gzip_like($reply, qr/sid=packed/, 'packed page passed on');
is(http_content($reply), http_content(get('/plain/', 'X-Script' => packed('packed'))),
    'byte for byte');
like($reply, qr/^Content-Encoding: gzip/m, 'and still called so');
is(known('/', 'packed'), 'HIT', 'and read');
get('/v/', 'X-Script' => packed('form', '<form action="/?sid=%s">'));
is(known('/v/', 'form'), 'HIT', 'as forms, too');
is(notices($t), 0, 'nothing to say');

# Packed in a way that only the client knows.

$reply = get('/quiet/', 'X-Script' => odd('text/html', 'quiet'));
$reply = get('/plain/', 'X-Script' => odd('text/html', 'quiet'));
$reply = get('/', 'X-Script' => odd('image/png', 'quiet'));
is(notices($t), 0, 'nothing to say of what is not read anyway');
get('/', 'X-Script' => odd('text/html', "odd$_")) for 1 .. 3;
is(known('/', 'odd1'), 'MISS', 'other codings are not read');
is(notices($t), 1, 'the log says so, once');
get('/v/', 'X-Script' => odd('text/html', "v$_")) for 1 .. 3;
is(notices($t), 2, 'once for each upstream');
like($t->read_file('error.log'), qr/\[error\].*sticky:.*Content-Encoding "gzip, odd",.*"u"/,
    'with the coding and the upstream');
my $location = script("Content-Encoding: odd\r\nLocation: /?sid=header\r\n\r\n");
get('/', 'X-Answer' => '302 Found', 'X-Script' => $location);
is(known('/', 'header'), 'HIT', 'headers are read all the same');
get('/', 'X-Script' => script("Content-Type: text/html\r\nContent-Encoding: identity\r\n\r\n",
    link_to('identity')));
is(known('/', 'identity'), 'HIT', 'identity is no compression');
get('/', 'X-Script' => script("Content-Type: text/html\r\nContent-Encoding: gzip\r\n\r\n",
    link_to('false')));
is(known('/', 'false'), 'MISS', 'what is not packed as it says is not read');

# Packed, and unpacked for the client.

$reply = get('/gunzip/', 'X-Script' => packed('unpacked'));
is(http_content($reply), link_to('unpacked'), 'page unpacked for the client');
unlike($reply, qr/^Content-Encoding/mi, 'and not called packed');
is(http_content(get('/gunzip_plain/', 'X-Script' => packed('unpacked'))), link_to('unpacked'),
    'the same without the module');
is(known('/', 'unpacked'), 'HIT', 'and read');

get('/gunzip/', 'X-Script' => packed('both'), 'Accept-Encoding' => 'gzip');
is(known('/', 'both'), 'HIT', 'a client that takes it packed gets it so: read');
is(notices($t), 2, 'nothing new to say');

sub packed {
    my ($id, $page) = @_;
    $page = defined $page ? sprintf $page, $id : link_to($id);
    # Without the time of day, two of them are the same.
    gzip(\$page => \my $packed, -Minimal => 1) or die 'gzip';
    return script("Content-Type: text/html\r\nContent-Encoding: gzip\r\n\r\n", $packed);
}

sub odd {
    my ($type, $id) = @_;
    return script("Content-Type: $type\r\nContent-Encoding: gzip, odd\r\n\r\n", link_to($id));
}

sub known { return status(get("$_[0]?sid=$_[1]", 'X-Script' => script("\r\n"))) }

sub notices {
    my ($t) = @_;
    my @lines = $t->read_file('error.log') =~ /^.*sticky:.*Content-Encoding.*$/mg;
    return scalar @lines;
}
