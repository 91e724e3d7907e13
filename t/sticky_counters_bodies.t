#!/usr/bin/perl

# Tests for the counters of bodies that are read: of each source of learn= and of mode=rewrite, each
# way in which reading ends, against what the servers have sent; without them, an operator takes a
# body that was not read for one without ids.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

use IO::Compress::Gzip qw/ gzip /;
use JSON::PP qw/ decode_json /;

my %learn = (
    html => 'html', forms => 'forms', json => 'json', path => 'json:a.b', xml => 'xml', sse => 'sse',
    text => 'text', script => 'script', several => 'html,json,script', none => 'location',
);

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite ssi /)->plan(56);

my $upstreams = join '', map { <<"EOC" } sort keys %learn;
    upstream $_ {
        sticky mode=query name=sid learn=$learn{$_};
        server 127.0.0.1:8081;
    }
EOC

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    $upstreams
    upstream rewrite {
        sticky mode=rewrite;
        server 127.0.0.1:8081;
    }

    upstream cookie {
        sticky;
        server 127.0.0.1:8081;
    }

    proxy_buffering off;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location ~ ^/to/(?<upstream>\\w+) {
            proxy_pass http://\$upstream/;
        }

        # For clients that leave: nginx waits for their servers.
        location ~ ^/left/(?<upstream>\\w+) {
            proxy_read_timeout 1s;
            proxy_pass http://\$upstream/;
        }

        # For pages that include themselves, until nginx has had enough.
        location ~ ^/nested/(?<upstream>\\w+) {
            ssi on;
            proxy_read_timeout 5s;
            proxy_pass http://\$upstream/;
        }

        location ~ ^/cached/ {
            error_page 404 = /to/html;
            return 404;
        }

        location /sticky { sticky_status; }
    }
}

EOC

$t->run_daemon(\&scripted, port(8081), 'A', $t->testdir());
$t->waitforsocket('127.0.0.1:' . port(8081));
$t->run();

my $dir = $t->testdir();
srand 1;
my $noise = join '', map { ('a' .. 'z', 'A' .. 'F')[rand 32] } 1 .. 300_000;

# What each source reads, and what it gives up in.
my %type = (
    html => 'text/html', forms => 'text/html', script => 'text/html', several => 'text/html',
    rewrite => 'text/html', none => 'text/html', cookie => 'text/html',
    json => 'application/json', path => 'application/json', xml => 'text/xml',
    sse => 'text/event-stream', text => 'text/plain',
);
# Who reads it.
my %source = ((map { $_ => $_ } qw/ html forms json xml sse text script rewrite /), path => 'json');
my $odd = '<' . 'x' x 1_000_000 . '>';
my %too_odd = (
    html => '<input name=sid ' x 10_000, forms => $odd, rewrite => $odd,
    path => '{"a":\\ ', xml => '<!DOCTYPE a><a>',
);

# Each source, each end.

for my $name (sort keys %source) {
    my ($source, $type) = ($source{$name}, $type{$name});
    my $body = 'no id at all ';
    is(added($name, sub { served($name, $type, $body) }), "$source.whole=1 bytes=" . length $body,
        "$name, whole");
    is(added($name, sub { served($name, $type, '') }), "$source.whole=1", "$name, an empty body");

    # Two, of which one says how long it is, and is not.
    is(added($name, sub {
        ask($name, "Content-Type: $type\r\nContent-Length: 100\r\n\r\n$body");
        leave($name, "Content-Type: $type\r\n\r\n$body");
    }), "$source.ended=2 bytes=" . 2 * length $body, "$name, a server and a client leave");

    if (my $odd = $too_odd{$name}) {
        is(added($name, sub { served($name, $type, $odd) }),
            "$source.given_up=1 bytes=" . length $odd, "$name, given up");
    }
    next if $name eq 'rewrite';
    my $packed = packed($body);
    is(added($name, sub { served($name, "$type\r\nContent-Encoding: gzip", $packed) }),
        "$source.whole=1 bytes=" . length $packed, "$name, packed");
}

# Compressed ones.

my $gzip = "text/html\r\nContent-Encoding: gzip";
my $long = packed($noise);
my ($what, $bytes) = split / bytes=/, added('html', sub { served('html', $gzip, $long) });
is($what, 'html.cut=1', 'a compressed body is read so far');
# As much as becomes 256 KB, and some that was read already.
my $read = length($long) * 262_144 / length $noise;
ok($bytes > $read - 4096 && $bytes < $read + 8192, 'and no further') or diag("$bytes of $read");
is(added('html', sub { served('html', $gzip, 'this is not gzip') }), 'html.given_up=1', 'not packed at all');
my $half = substr packed(substr $noise, 0, 2000), 0, 500;
is(added('html', sub { served('html', $gzip, $half) }), 'html.ended=1 bytes=500', 'half of one');

# Several sources.

is(added('several', sub { served('several', 'text/html', $too_odd{html}) }),
    'html.given_up=1 json.whole=1 script.whole=1 bytes=' . length $too_odd{html}, 'each for itself');
is(added('several', sub { served('several', 'application/json', '[]') }), 'json.whole=1 bytes=2',
    'those that read the type');

# A request counts once, and those whose body is not read do not.

is(added('html', sub { ask('html', "Content-Type: image/png\r\n\r\npng") }), '', 'another type');
is(added('html', sub { ask('html', "Content-Type: text/html\r\nContent-Encoding: own\r\n\r\nx") }), '',
    'another coding');
is(added('html', sub { send_request('HEAD', '/to/html', script_of("Content-Type: text/html\r\n\r\n")) }), '',
    'HEAD');
is(added('html', sub { send_request('GET', '/cached/', script_of("Content-Type: text/html\r\n\r\nabc")) }),
    'html.whole=1 bytes=3', 'after an internal redirect');
# The one that is included is asked with the same script. nginx counts no request that it makes itself.
is(added('html', sub {
    get('/nested/html', script_of("Content-Type: text/html\r\n\r\n<!--# include virtual=\"/nested/several\" -->"));
}), 'html.whole=1 bytes=43', 'a subrequest is none');
my $included = '<!--# include virtual="/nested/html" -->';
is(added('html', sub { get('/nested/html', script_of("Content-Type: text/html\r\n\r\n$included")) }),
    'html.whole=1 bytes=' . length $included, 'nor is one whose body one source alone reads');
my $json = json();
my %upstream = map { $_->{name} => $_ } @{ $json->{upstreams} };
is(join(' ', map { exists $upstream{$_}{bodies} || 0 } qw/ none cookie html /), '0 0 1',
    'where no body is read, nothing is said of bodies');
my $metrics = http_content(get('/sticky/metrics'));
is(join(' ', map { "$_->[0]=$_->[1]" } sort { $a->[0] cmp $b->[0] }
        map { [/source="(\w+)",outcome="whole"\} (\d+)/] }
        grep { /^nginx_sticky_bodies_total\{upstream="several"/ && /"whole"/ } split /\n/, $metrics),
    'html=0 json=2 script=1', 'metrics');
like($metrics, qr/^nginx_sticky_body_bytes_total\{upstream="several"\} ${\ (2 + length $too_odd{html})}$/m,
    'and their bytes');
like(http_content(get('/sticky?upstream=html')), qr/Bodies read.*html: given_up/s, 'the page');

sub script_of { return ('X-Script' => script(@_)) }

# Through the upstream; the script has the rest of the head and the body.
sub ask {
    my ($name, @script) = @_;
    return get("/to/$name", script_of(@script));
}

sub served {
    my ($name, $type, $body) = @_;
    $t->write_file('body', "Content-Type: $type\r\n\r\n$body");
    return get("/to/$name", 'X-Script' => '@body');
}

# The client leaves when it has the beginning.
sub leave {
    my ($name, $start) = @_;
    my $socket = get("/left/$name", script_of($start, \'*'), { start => 1 });
    read_until($socket, qr/\r\n\r\n.*no id/s) // die 'no answer';
    close $socket;
}

sub json { return decode_json(http_content(get('/sticky/json'))) }

# Counts of an upstream, 'source.end' => N, and bytes.
sub counted {
    my ($name) = @_;
    my ($it) = grep { $_->{name} eq $name } @{ json()->{upstreams} };
    my %counted = (bytes => $it->{body_bytes} // 0, requests => 0);
    $counted{requests} += $_ for values %{ $it->{requests} };
    for my $source (keys %{ $it->{bodies} // {} }) {
        $counted{"$source.$_"} = $it->{bodies}{$source}{$_} for keys %{ $it->{bodies}{$source} };
    }
    return \%counted;
}

# What some requests add, once all of them are counted: a request is, when its answer was passed on.
sub added {
    my ($name, $requests) = @_;
    my $before = counted($name);
    $requests->();
    my ($after, $last);
    eventually(sub {
        $last = $after;
        $after = counted($name);
        # Nothing more comes.
        return $after->{requests} > $before->{requests} && $last
            && !grep { $after->{$_} != ($last->{$_} // -1) } keys %$after;
    });
    my %more = map { $_ => $after->{$_} - ($before->{$_} // 0) } keys %$after;
    my @keys = sort grep { /\./ && $more{$_} } keys %more;
    return join ' ', (map { "$_=$more{$_}" } @keys), $more{bytes} ? "bytes=$more{bytes}" : ();
}

sub packed {
    my ($text) = @_;
    gzip(\$text => \my $packed) or die;
    return $packed;
}
