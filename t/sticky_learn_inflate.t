#!/usr/bin/perl

# Tests for ids in compressed responses of every coding: found before the client gets them, within
# bounds, whatever is broken; without them a server that compresses loses its sessions, or a small
# response fills the memory of a worker.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

use Compress::Raw::Zlib;
use IO::Compress::Deflate qw/ deflate /;
use IO::Compress::Gzip qw/ gzip /;
use IO::Compress::RawDeflate qw/ rawdeflate /;

my $t = Test::Nginx->new()->has(qw/http proxy gunzip/)->plan(66);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    upstream all {
        sticky mode=query learn=html,json,sse,text,location;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream off {
        sticky mode=query learn=location;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        proxy_buffering off;

        location / {
            proxy_pass http://all/;
        }

        location /off/ {
            proxy_pass http://off/;
        }

        location /gunzip/ {
            gunzip on;
            proxy_pass http://all/;
        }

        location /buffered/ {
            proxy_buffering on;
            proxy_buffer_size 1k;
            proxy_buffers 2 1k;
            proxy_busy_buffers_size 1k;
            proxy_pass http://all/;
        }
    }
}

EOC

$t->run_daemon(\&scripted, port(8081), 'A', $t->testdir());
$t->run_daemon(\&scripted, port(8082), 'B', $t->testdir());
$t->waitforsocket('127.0.0.1:' . port($_)) for 8081, 8082;
$t->run();

my $dir = $t->testdir();
my $count = 0;
my @letters = ('a' .. 'z', 'A' .. 'F');
my $noise = sub { srand 1; join '', map { $letters[rand @letters] } 1 .. $_[0] };

# Packs by a command, where it is installed.
my $packed_by = sub {
    my @command = @_;
    return unless grep { -x "$_/$command[0]" } split /:/, $ENV{PATH};
    return sub {
        my ($text) = @_;
        # Through files: a pipe would fill.
        my ($plain, $packed_file) = map { "$dir/$command[0].$_" } qw/ in out /;
        $t->write_file("$command[0].in", $text);
        system("@command < $plain > $packed_file") and die "@command failed";
        my $packed = $t->read_file("$command[0].out");
        return $packed;
    };
};

for my $coding (
    ['gzip',    'gzip',    sub { gzip(\$_[0] => \my $packed) or die; $packed }],
    ['zlib',    'deflate', sub { deflate(\$_[0] => \my $packed) or die; $packed }],
    ['raw',     'deflate', sub { rawdeflate(\$_[0] => \my $packed) or die; $packed }],
    ['br',      'br',      $packed_by->('brotli', '-c')],
    ['zstd',    'zstd',    $packed_by->('zstd', '-q', '-c')],
) {
    my ($what, $name, $pack) = @$coding;

    SKIP: {
    skip "$what: the command is not installed, see tools/test-packages", 10 unless $pack;

    # Each learner, and in pieces.

    for (
        ['text/html',         "<a href='?sid=ID'>"],
        ['application/json',  '{"sid":"ID"}'],
        ['text/event-stream', "data: /?sid=ID\n\n"],
        ['text/plain',        'See /?sid=ID.'],
    ) {
        my ($type, $body) = @$_;
        my $id = id();
        my $packed = $pack->($body =~ s/ID/$id/r);
        my $reply = get('/', 'X-Script' => script(head($type, $name), $packed));
        is(http_content($reply) eq $packed ? known($id, $reply) : 'changed', 'HIT', "$what, $type");
    }

    my $id = id();
    my $packed = $pack->($noise->(3000) . " /?sid=$id " . $noise->(3000));
    my @pieces = map { ($_, \0.002) } unpack '(a500)*', $packed;
    my $reply = get('/', 'X-Script' => script(head('text/plain', $name), @pieces));
    is(known($id, $reply), 'HIT', "$what, in pieces");
    $t->write_file('body', head('text/plain', $name) . $packed);
    $reply = get('/buffered/', 'X-Script' => '@body');
    ok(http_content($reply) eq $packed, "$what, passes through small buffers");

    # Not all of it, and something else.

    $reply = get('/', 'X-Script' => script(head('text/plain', $name),
        substr $pack->($noise->(1000) . ' /?sid=cut'), 0, 500));
    $reply = get('/', 'X-Script' => script(head('text/plain', $name), $noise->(1000)));
    ok(http_content($reply) eq $noise->(1000), "$what, not packed at all: passes");

    # Bounds: what stands behind 256 KB is not read, nor what is too good to be true.

    my ($near, $far) = (id(), id());
    $t->write_file('far', head('text/plain', $name)
        . $pack->(" /?sid=$near " . $noise->(262_144) . " /?sid=$far "));
    $reply = get('/', 'X-Script' => '@far');
    is(join(' ', known($near, $reply), known($far, $reply)), 'HIT MISS', "$what, over 256 KB");

    ($near, $far) = (id(), id());
    $t->write_file('bomb', head('text/plain', $name)
        . $pack->(' ' x 200_000 . " /?sid=$near ") . $pack->(' ' x 20_000_000 . " /?sid=$far "));
    $reply = get('/', 'X-Script' => '@bomb');
    is(known($far, $reply), 'MISS', "$what, a bomb");
    is(length http_content($reply), (-s "$dir/bomb") - length head('text/plain', $name),
        "$what, the bomb passes");
    }
}

# Where there is nothing to be read, nothing is unpacked, and headers are read all the same.

my $id = id();
my $page = do { gzip(\"<a href='?sid=$id'>" => \my $packed); $packed };
for (
    ['/',     'HEAD', '200 OK',              'text/html', 'MISS'],
    ['/',     'GET',  '206 Partial Content', 'text/html', 'MISS'],
    ['/',     'GET',  '304 Not Modified',    'text/html', 'MISS'],
    ['/',     'GET',  '500 Oh',              'text/html', 'MISS'],
    ['/',     'GET',  '200 OK',              'image/png', 'MISS'],
    ['/off/', 'GET',  '200 OK',              'text/html', 'MISS'],
    ['/',     'GET',  '404 Not Found',       'text/html', 'HIT'],
) {
    my ($uri, $method, $status, $type, $expected) = @$_;
    my $reply = send_request($method, $uri, 'X-Answer' => $status,
        'X-Script' => script(head($type, 'gzip'), $page));
    is(status(get("$uri?sid=$id")), $expected, "$method $uri, $status, $type");
}

my $location = id();
$id = id();
gzip(\"<a href='?sid=$id'>" => \$page);
my $reply = get('/', 'X-Answer' => '302 Found',
    'X-Script' => script("Location: /?sid=$location\r\n" . head('text/html', 'gzip'), $page));
is(known($id, $reply) . known($location, $reply), 'HITHIT', 'one id packed, one in Location');

$id = id();
gzip(\"<a href='?sid=$id'>" => \$page);
$reply = get('/gunzip/', 'X-Script' => script(head('text/html', 'gzip'), $page));
is(http_content($reply), "<a href='?sid=$id'>", 'unpacked by nginx');
is(known($id, $reply), 'HIT', 'and read');

# Learned before delivered: a stream that is flushed behind each event, and goes on until the
# client has gone. As soon as the client can unpack an event, its id is known.

my $packer = Compress::Raw::Zlib::Deflate->new(-WindowBits => WANT_GZIP, -AppendOutput => 1);
my @ids = map { id() } 1 .. 3;
my @events = map {
    my $packed = '';
    $packer->deflate("event: endpoint\ndata: /messages?sid=$_\n\n", $packed);
    $packer->flush($packed, Z_SYNC_FLUSH);
    # The next one goes out when the test has seen this one.
    ($packed, \"?seen_$_");
} @ids;
my $socket = http("GET / HTTP/1.0\r\nHost: localhost\r\n"
    . 'X-Script: ' . script(head('text/event-stream', 'gzip'), @events, \'*') . "\r\n\r\n", start => 1);
my ($text, $plain) = ('', '');
my $unpacker = Compress::Raw::Zlib::Inflate->new(-WindowBits => WANT_GZIP, -AppendOutput => 1);
for my $id (@ids) {
    # A sync flush ends in these bytes.
    my $more = read_until($socket, qr/\x00\x00\xff\xff/) // last;
    $text = $1 if $more =~ s/\A(HTTP.*?\r\n\r\n)//s;
    my $packed = $more;
    $unpacker->inflate($packed, $plain);
    my @seen = $plain =~ /sid=(\w+)\n\n/g;
    is(join(' ', map { known($_, $text) } @seen), join(' ', ('HIT') x @seen), 'events are known');
    like($plain, qr/sid=$id\n\n/, 'event came by itself');
    $t->write_file("seen_$id", '');
}
close $socket;

sub id { return 'id' . ++$count }

sub head {
    my ($type, $coding) = @_;
    return "Content-Type: $type\r\nContent-Encoding: $coding\r\n\r\n";
}

# Whether the id leads to the server that gave it out.
sub known {
    my ($id, $reply) = @_;
    my $next = get("/?sid=$id");
    return status($next) eq 'HIT' && served_by($next) ne served_by($reply) ? 'elsewhere' : status($next);
}
