#!/usr/bin/perl

# Tests for large answers of sticky_status, which are made part by part: whole for every client, however
# it reads, and no worker waits for one or keeps more than a part of it in memory; without them, a look
# at the counters of many upstreams holds up all other requests.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;

use IO::Uncompress::Gunzip qw/ gunzip /;
use JSON::PP qw/ decode_json /;
use Socket qw/ SOL_SOCKET SO_RCVBUF /;

use constant UPSTREAMS => 400;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite ssi gzip http_v2 /)->plan(38);

my ($listen, $http_2) = $t->has_version('1.25.1') ? ('', 'http2 on;') : (' http2', '');
my $servers = join ' ', map { "server 127.0.0.1:" . (9000 + $_) . ';' } 1 .. 10;
my $upstreams = join '', map {
    "upstream u$_ { sticky mode=query zone=z$_:32k; $servers }\n"
} 1 .. UPSTREAMS;
$t->write_file('upstreams.conf', $upstreams);

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;
worker_processes 1;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include upstreams.conf;

    server {
        listen       127.0.0.1:8080 sndbuf=32k;
        listen       127.0.0.1:8085$listen;
        $http_2
        server_name  localhost;
        send_timeout 60s;

        location /sticky { sticky_status rw; }

        location /packed/ {
            gzip            on;
            gzip_types      *;
            gzip_http_version 1.0;
            gzip_proxied    any;
            rewrite ^/packed/(.*) /\$1 break;
            sticky_status;
        }

        location /slow/ {
            limit_rate 4m;
            sticky_status;
        }

        location /late/ {
            send_timeout 1s;
            sticky_status;
        }

        location /page {
            ssi on;
            ssi_types *;
            default_type text/plain;
            return 200 '[<!--# include virtual="/sticky/json" -->|<!--# include virtual="/other" -->|<!--# include virtual="/sticky/json" -->]';
        }

        location /set {
            ssi on;
            ssi_types *;
            default_type text/plain;
            return 200 '[<!--# include virtual="/sticky/json" set="all" --><!--# echo var="all" -->]';
        }

        location /other { return 200 "other"; }
    }
}

EOC

$t->run();
my ($worker) = workers($t);

# Whole, in every form, for whoever asks.

my $json = decode_json(body(get('/sticky/json')));
is(scalar @{ $json->{upstreams} }, UPSTREAMS, 'all upstreams in JSON');
is(scalar(grep { @{ $_->{servers} } == 10 && $_->{requests} } @{ $json->{upstreams} }), UPSTREAMS,
    'each with all that is known');
is(scalar @{ $json->{zones} }, UPSTREAMS, 'and all zones');
my $reply = get('/sticky/json');
like($reply, qr/^Transfer-Encoding: chunked/mi, 'in chunks');
unlike($reply, qr/^Content-Length:/mi, 'without a length');
my $length = length body($reply);
cmp_ok($length, '>', 10 * 65_536, 'it is many parts');
# Not those numbers that a count changes.
my $plain = sub { $_[0] =~ s/"(time|counted|since)":\d+/"$1":0/gr };
my $whole = $plain->(body($reply));

my @lines = split /\n/, body(get('/sticky/metrics'));
my (%families, $family, $apart);
for (grep { !/^#/ } @lines) {
    my ($name) = /^(\w+)\{/ or next;
    $apart .= " $name" if $name ne ($family // '') && $families{$name}++;
    $family = $name;
}
is($apart // '', '', 'metrics of a family stand together');
is(scalar(grep { /^nginx_sticky_server_hits_total\{/ } @lines), 10 * UPSTREAMS, 'those of all servers');
is(scalar(grep { /^# TYPE / } @lines), scalar keys %families, 'each is described once');

my $page = body(get('/sticky'));
is(scalar(() = $page =~ /<tr role="row" data-k="u\d+">/g), UPSTREAMS, 'the page has all upstreams');
like($page, qr{</html>\s*\z}, 'to its end');
# The same, in answer to an order.
$page = body(post('/sticky', 'action=drain&upstream=u1&server=127.0.0.1%3A9001', 'X-Sticky' => 1));
like($page, qr{data-k="u1">.*data-k="u400">.*</html>\s*\z}s, 'also in answer to an order');
like($page, qr/class="notice"/, 'which says what was done');

$reply = get('/sticky/json', { version => '1.0' });
unlike($reply, qr/^(Transfer-Encoding|Content-Length):/mi, 'HTTP/1.0: up to the end of the connection');
like(http_content($reply), qr/\]\}\s*\z/, 'and whole');
$reply = send_request('HEAD', '/sticky/json');
is(code($reply) . ' ' . length http_content($reply), '200 0', 'HEAD');
$reply = get('/sticky/json?upstream=u7');
like($reply, qr/^Content-Length: \d+/mi, 'a small one has a length');
is(length http_content($reply), header('Content-Length', $reply), 'which it has');

# On a connection that is kept, others follow.
my $two = get('/sticky/json', Connection => 'keep-alive', { start => 1 });
my $first = read_until($two, qr/\r\n0\r\n\r\n\z/);
print {$two} "GET /other HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
is(body(reply_of($two)), 'other', 'the connection goes on');
like(body($first), qr/\]\}\s*\z/, 'behind all of it');

# Through filters, and as a part of another answer.

$reply = get('/packed/sticky/json', 'Accept-Encoding' => 'gzip');
gunzip(\body($reply) => \my $unpacked);
is($plain->($unpacked // ''), drained($whole), 'packed');
is($plain->(body(get('/slow/json'))), drained($whole), 'with limit_rate');
my $parts = body(get('/page'));
my ($one, $other, $again) = $parts =~ /^\[(.*)\|(other)\|(.*)\]$/s;
is($plain->($one // ''), drained($whole), 'in a page');
is($plain->($again // ''), drained($whole), 'twice');
# nginx ends the request: it is too large for a variable.
get('/set');
is(body(get('/other')), 'other', 'into a variable');
SKIP: {
    skip 'no curl with HTTP/2', 1 unless `curl --version 2>/dev/null` =~ /HTTP2/;
    my $text = `curl -s --http2-prior-knowledge http://127.0.0.1:${\ port(8085)}/sticky/json`;
    is($plain->($text), drained($whole), 'HTTP/2');
}

# Clients that read slowly, or not at all, cost no more than a part each.

my $before = resident($worker);
my @idle = map { unread('/sticky/metrics') } 1 .. 40;
is(body(get('/other')), 'other', 'others are served meanwhile');
ok(eventually(sub { established($t, 8080) >= 40 }), 'all of them wait');
# Each of them has asked; what would be in memory else is 40 times as much as there is.
is(body(get('/other')), 'other', 'and go on being served');
my $more = resident($worker) - $before;
cmp_ok($more / @idle, '<', 200, sprintf '%.0f KB for a client that does not read', $more / @idle);
my $slow = pop @idle;
close $_ for @idle;
my $text = reply_of($slow);
is(scalar(() = $text =~ /^nginx_sticky_requests_total\{/mg) > 7 * UPSTREAMS, 1, 'one that reads later gets all');

# One that leaves, one that does not come back in time.

for (1 .. 20) {
    my $leaving = unread('/sticky/json');
    read $leaving, my $some, 100;
    close $leaving;
}
is(body(get('/other')), 'other', 'clients that leave');
my $late = unread('/late/json');
ok(eventually(sub { established($t, 8080) == 1 }), 'one that does not read');
ok(eventually(sub { established($t, 8080) == 0 }), 'is left after a while');
close $late;

# A worker that ends waits for it.

my $waiting = unread('/sticky/json');
read $waiting, my $some, 1000;
$t->reload();
ok(eventually(sub { my @now = workers($t); @now >= 2 || !grep { $_ == $worker } @now }), 'nginx reloads');
$text = reply_of($waiting);
like($text, qr/\]\}\s*(\r\n0\r\n\r\n)?\z/, 'a worker that ends waits for it');
undef $waiting;
ok(eventually(sub { !kill 0, $worker }), 'and then it ends');
unlike($t->read_file('error.log'), qr/open socket|panicked/, 'nothing is left');

# After the drain of above.
sub drained {
    my ($text) = @_;
    return $text =~ s/("name":"127\.0\.0\.1:9001",.*?"draining":)false/$1true,"drain":{"by":"hand","since":0}/r;
}

# What was sent in chunks, whole.
sub body {
    my ($reply) = @_;
    my ($head, $rest) = split /\r\n\r\n/, $reply, 2;
    return $rest // '' if ($head // '') !~ /^Transfer-Encoding: chunked/mi;
    my $text = '';
    while ($rest =~ /\G([0-9a-f]+)\r\n/gc) {
        my $length = hex $1 or last;
        $text .= substr $rest, pos $rest, $length;
        pos($rest) += $length + 2;
    }
    return $text;
}

# A request whose answer is not read.
sub unread {
    my ($uri) = @_;
    my $socket = IO::Socket::INET->new(Proto => 'tcp') or die "no socket: $!";
    setsockopt $socket, SOL_SOCKET, SO_RCVBUF, 4096;
    connect $socket, Socket::pack_sockaddr_in(port(8080), Socket::inet_aton('127.0.0.1')) or die "connect: $!";
    $socket->autoflush(1);
    print {$socket} "GET $uri HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    return $socket;
}

sub established {
    my ($t, $number) = @_;
    my $port = sprintf '%04X', port($number);
    open my $file, '<', '/proc/net/tcp' or die "no /proc/net/tcp: $!";
    # What nginx has sent and the client has not taken.
    return scalar grep { /^\s*\d+: [0-9A-F]+:$port [0-9A-F:]+ 01 (?!00000000)/ } <$file>;
}

# KB of memory.
sub resident {
    my ($pid) = @_;
    open my $file, '<', "/proc/$pid/status" or die "no status of $pid: $!";
    my ($kb) = map { /^VmRSS:\s+(\d+)/ } <$file>;
    return $kb;
}
