#!/usr/bin/perl

# Tests for the debug lines of the module, one for each attempt of a request and one for its
# response; without them nobody sees why a request went where it went. Neither an id nor a secret is
# in them, and where debug is off, there are none.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;

use IO::Socket::INET;
use Time::HiRes qw/ sleep /;

my $t = Test::Nginx->new()->has(qw/ http proxy cache --with-debug /);

my ($a, $b, $c) = map { '127.0.0.1:' . port($_) } 8081 .. 8083;

my %upstream = (
    u       => 'sticky mode=query from=query,cookie,form,segment:/u/s/ learn=html,location,cookie,json;',
    strict  => 'sticky mode=query from=query no_fallback=503;',
    short   => 'sticky mode=query from=query expires=1s;',
    request => 'sticky mode=query from=query learn=request;',
    learn   => 'sticky learn create=$upstream_http_link lookup=$arg_sid zone=learn:1m norefresh;',
    angie   => 'sticky cookie srv; sticky_secret TOPSECRET; sticky_strict on;',
    cookie  => 'sticky hmac=sha256 hmac_key=TOPSECRET-of-sixteen-bytes;',
    rewrite => 'sticky mode=rewrite;',
);
my $blocks = upstreams(%upstream);
my $locations = join '', map { "location /$_/ {\nproxy_pass http://$_/;\n}\n" } sort keys %upstream;

# The servers of `moving`, and what its lines have.
sub configuration {
    my ($first, @others) = @_;
    my $servers = join ' ', map { "server $_;" } $first, @others;
    return <<"EOC";

%%TEST_GLOBALS%%

daemon off;

events {
    debug_connection 127.0.0.2;
}

http {
    %%TEST_GLOBALS_HTTP%%

    large_client_header_buffers 4 32k;
    proxy_buffer_size 32k;
    proxy_buffers 4 32k;
    client_body_buffer_size 256k;
    proxy_cache_path %%TESTDIR%%/cache keys_zone=cache:1m;

    include backends.conf;

    $blocks
    upstream moving {
        sticky mode=query from=query zone=moving:1m;
        $servers
    }

    upstream one {
        sticky mode=query from=query share=both;
        server 127.0.0.1:8081;
    }

    upstream other {
        sticky mode=query from=query share=both;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream full {
        sticky mode=query from=query;
        server 127.0.0.1:8084 max_conns=1;
        server 127.0.0.1:8082 down;
        server 127.0.0.1:8083 backup;
    }

    upstream failing {
        sticky mode=query from=query;
        server 127.0.0.1:8081 max_fails=0;
        server 127.0.0.1:8082 max_fails=0;
    }

    upstream none {
        sticky mode=query from=query;
        server 127.0.0.1:8089;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  \$sticky_status   always;
        add_header   X-Hash    \$sticky_id_hash  always;

        $locations
        location /moving/ { proxy_pass http://moving/; }
        location /one/    { proxy_pass http://one/; }
        location /other/  { proxy_pass http://other/; }
        location /full/   { proxy_pass http://full/; proxy_buffering off; }
        location /none/   { proxy_pass http://none/; }

        location /streamed/ {
            proxy_pass http://u/;
            proxy_request_buffering off;
            proxy_http_version 1.1;
        }

        location /failing/ {
            proxy_pass http://failing/;
            proxy_next_upstream error http_500;
        }

        location /accel/ {
            proxy_pass http://u/accel;
            proxy_set_header X-Accel /page;
        }

        location = /page {
            return 200 page;
        }
    }

    server {
        listen       127.0.0.1:8085;
        error_log    %%TESTDIR%%/info.log  info;

        location / {
            proxy_pass http://u;
        }
    }
}

EOC
}

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', configuration(map { "127.0.0.1:$_" } 8081 .. 8083));
$t->run_daemon(\&scripted, port(8084), 'D', $t->testdir());
$t->waitforsocket('127.0.0.1:' . port(8084));
$t->run()->plan(50);

my $read = 0;
my @lines;

# The lines that a request adds to the log: those of the request, then that of its response.
sub lines {
    my ($ask) = @_;
    $read = -s $t->testdir() . '/error.log';
    $ask->();
    my @all;
    eventually(sub {
        open my $log, '<', $t->testdir() . '/error.log' or die "no log: $!";
        seek $log, $read, 0;
        @all = map { /\[debug\] .*?(sticky: (?:request|response) .*)$/ ? $1 : () } <$log>;
        return grep { /^sticky: response/ } @all;
    });
    push @lines, @all;
    s/\b[0-9a-f]{8}\b/HASH/g, s/\Q$a\E/A/g, s/\Q$b\E/B/g, s/\Q$c\E/C/g for @all;
    return join "\n", @all;
}

# The same for a GET.
sub traced {
    my @request = @_;
    return lines(sub { get(@request) });
}

# The first line alone.
sub request_of { return (split /\n/, traced(@_))[0] }
sub response_of { return (split /\n/, traced(@_))[-1] }

my $number = 0;
sub fresh { return 'secretid' . ++$number . 'x' }

my $page = 'type "text/html", body read by html json';

# A session begins, and goes on.

my $id = fresh();
my $text = traced('/u/', 'X-Page' => link_to($id));
like($text, qr/^sticky: request has no id; goes to ([ABC]) by the balancer, upstream "u"
sticky: response 200 from \1, $page; learned html:HASH, upstream "u"$/, 'a session begins');
my ($home) = $text =~ /goes to ([ABC])/;
is(traced("/u/?sid=$id", 'X-Page' => link_to($id)), <<"EOT" =~ s/\n$//r, 'and goes on');
sticky: request has id HASH in query:sid, known at $home; goes to $home by its session, upstream "u"
sticky: response 200 from $home, $page; learned nothing, upstream "u"
EOT

my $hash = header('X-Hash', get("/u/?sid=$id"));
lines(sub { get("/u/?sid=$id") });
like($lines[-2], qr/has id $hash in/, 'the same hash as in $sticky_id_hash');

# Where the id stands, and why there is none.

like(request_of('/u/', Cookie => "sid=$id"), qr/^sticky: request has id HASH in cookie:sid, known/,
    'in a cookie');
like(request_of("/u/s/$id"), qr/has id HASH in segment:\/u\/s\/, known/, 'in a segment');
my $long = 'x' x 4097;
like(request_of("/u/?sid=$long"), qr/^sticky: request has an id that is too long; goes to/, 'too long');
my $far = ('x' x 70000) . "&sid=$id";
like(lines(sub { post('/u/', $far) }), qr/^sticky: request has no id, or one out of reach in its body;/,
    'behind the first 64 KB of the body');
like(lines(sub { post('/u/', 'a=1') }), qr/^sticky: request has no id; goes/, 'not in the body');
like(lines(sub { post('/u/', "sid=$id") }), qr/^sticky: request has id HASH in form:sid, known/,
    'in the body');
like(lines(sub {
    my $from = -s $t->testdir() . '/error.log';
    my $socket = post('/streamed/', '', 'Content-Length' => 10000, { start => 1 });
    # Its server is chosen before the body comes.
    eventually(sub { substr($t->read_file('error.log'), $from) =~ /sticky: request/ });
    print {$socket} 'x' x (10000 - length "&sid=$id"), "&sid=$id";
    reply_of($socket);
}),
    qr/^sticky: request has no id, or one out of reach in its body;/, 'not there yet');

like(request_of('/u/?sid=' . fresh()), qr/has id HASH in query:sid, unknown; goes to . by the balancer/,
    'unknown');

$id = fresh();
get('/short/', 'X-Page' => link_to($id));
sleep 3.1;
like(request_of("/short/?sid=$id"), qr/has id HASH in query:sid, expired; goes to/, 'expired');

# Why the session's server is not used.

$id = fresh();
my $of_strict = fresh();
get('/failing/', 'X-Page' => link_to($id));
$home = served_by(get("/failing/?sid=$id"));
$t->write_file("failed_$home", '');
my ($first, $second) = split /\n/, traced("/failing/?sid=$id");
like($first, qr/known at $home; goes to $home by its session/, 'the first attempt');
like($second, qr/^sticky: request attempt 2, has id HASH in query:sid, known at $home, failed now; goes to (?!$home). by the balancer/,
    'the second');
is(scalar(grep { /moved: failed/ } $lines[-1]), 1, 'and the session moves');
unlink $t->testdir() . "/failed_$home";

get('/strict/', 'X-Page' => link_to($of_strict));
$home = served_by(get("/strict/?sid=$of_strict"));
$t->write_file("closed_$home", '');
get("/strict/?sid=$of_strict");
$text = traced("/strict/?sid=$of_strict");
like($text, qr/^sticky: request has id HASH in query:sid, known at $home, failed; refused, upstream/,
    'failed, and refused');
like($text, qr/\nsticky: response 503, of nginx or its cache, /, 'by nginx');
unlink $t->testdir() . "/closed_$home";

$id = fresh();
get('/one/', 'X-Page' => link_to($id));
like(request_of("/other/?sid=$id"),
    qr/known, foreign: its server is in another upstream; goes to . by the balancer, upstream "other"/,
    'foreign');

$id = fresh();
my $handed = link_to($id);
my $answer = script("Content-Type: text/html\x0d\x0a\x0d\x0a$handed");
get('/full/', 'X-Script' => $answer);
my $held = get('/full/', 'X-Script' => script("Content-Length: 3\x0d\x0a\x0d\x0aa", \'?go', 'bc'),
    { start => 1 });
ok(read_until($held, qr/\x0d\x0a\x0d\x0aa/), 'a request is open');
my $d = '127.0.0.1:' . port(8084);
like(request_of("/full/?sid=$id"), qr/known at \Q$d\E, full; goes to C by the balancer/, 'full');
$t->write_file('go', '');
reply_of($held);

# Another server begins the session meanwhile, and the answer to its own request counts.
$id = fresh();
my $late = script("Content-Type: text/html\x0d\x0a\x0d\x0a", \'?late', link_to($id));
$held = get("/full/?sid=$id", 'X-Script' => $late, { start => 1 });
read_until($held, qr/200 OK/);
is(served_by(get('/full/', 'X-Page' => link_to($id))), 'C', 'begun elsewhere');
like(lines(sub { $t->write_file('late', ''); reply_of($held) }),
    qr/^sticky: response 200 from \Q$d\E, .*; learned nothing; moved: balanced, upstream/, 'moved');

my (%at, %of);
for (1 .. 12) {
    my $id = fresh();
    my $server = served_by(get('/moving/', 'X-Page' => link_to($id)));
    $of{$server} = $at{$server};
    $at{$server} = $id;
}
is(join('', sort keys %at), 'ABC', 'sessions at all servers');
ok(reload_with($t, configuration("127.0.0.1:8081 down", "127.0.0.1:8082")), 'reloaded');
$text = traced("/moving/?sid=$at{A}", 'X-Page' => link_to($at{A}));
like($text, qr/^sticky: request has id HASH in query:sid, known at A, down; goes to B by the balancer/,
    'down');
like($text, qr/; moved: failed, upstream/, 'moved from a server that is down');
like(request_of("/moving/?sid=$of{C}"), qr/known, its server (?:is not known here|has left); goes to B by/,
    'its server is in no list');
# Until then it might be in a newer one.
sleep 6.1;
$text = traced("/moving/?sid=$at{C}", 'X-Page' => link_to($at{C}));
like($text, qr/^sticky: request has id HASH in query:sid, known, its server has left; goes to B by/,
    'left');
like($text, qr/; moved: left, upstream/, 'moved from a server that has left');

# What is read of a response, and what is skipped.

like(response_of('/u/type/plain', 'X-Page' => 'text'),
    qr/200 from ., type "text\/plain", body read by json; learned nothing, upstream/, 'read by another');
like(response_of('/u/type/json', 'X-Page' => sprintf '{"sid":"%s"}', fresh()),
    qr/type "application\/json", body read by json; learned json:HASH, upstream/, 'of JSON');
like(response_of('/u/type/htmlx', 'X-Page' => 'text'),
    qr/type "text\/htmlx", body not read; learned nothing; skipped: type, upstream/, 'type');
like(response_of('/u/', 'X-Page' => '<a href="//other.example/?sid=1">', 'X-Set-Cookie' => "sid=$long"),
    qr/$page; learned nothing; skipped: size, host, upstream/, 'size, host');
like(response_of('/u/500', 'X-Page' => link_to(fresh())),
    qr/500 from ., type "text\/html", body not read; learned nothing; skipped: status/, 'status');
like(response_of('/u/', 'X-Page' => link_to(fresh()) . link_to(fresh()), 'X-Set-Cookie' => 'sid=' . fresh()),
    qr/; learned cookie:HASH html:HASH html:HASH, upstream/, 'several');
like(response_of('/u/204'), qr/response 204 from ., type "", body not read; learned nothing, upstream/,
    'no body');
$id = fresh();
get('/u/', 'X-Page' => link_to($id));
like(response_of('/u/', Cookie => "sid=$id", 'X-Set-Cookie' => 'sid=; Max-Age=0'),
    qr/; forgotten: ended, upstream/, 'the session ends');
like(response_of('/accel/', 'X-Set-Cookie' => 'sid=' . fresh()),
    qr/response 200 from ., type "", body not read; learned nothing, upstream/, 'X-Accel-Redirect');

# Sessions that requests begin; nginx's own forms; the other modes.

$id = fresh();
$text = traced("/request/?sid=$id");
like($text, qr/has id HASH in query:sid, unknown; goes to . by the balancer.*\n.*learned request:HASH/,
    'learn=request');
like(traced('/request/500?sid=' . fresh()), qr/learned request:HASH; skipped: status; forgotten: unanswered/,
    'learn=request, without an answer that keeps it');
$id = fresh();
like(traced('/learn/', 'X-Link' => $id), qr/has no id; goes to . by the balancer.*\n.*learned create:HASH/,
    'sticky learn');
like(request_of("/learn/?sid=$id"), qr/has id HASH, known at (.); goes to \1 by its session/,
    'sticky learn, known');
my ($cookie) = map { /^(srv=\w+)/ } cookies(get('/angie/'));
like(request_of('/angie/', Cookie => $cookie), qr/has id, known; goes to . by its session, upstream "angie"/,
    'sticky cookie');
($cookie) = map { /^(route=\w+)/ } cookies(get('/cookie/'));
like(traced('/cookie/', Cookie => $cookie),
    qr/has id in cookie:route, known at (.); goes to \1 by its session.*\n.*response 200 from \1, type "text\/html", upstream/,
    'mode=cookie');
like(request_of('/rewrite/?route=unknown'), qr/has id in query:route, unknown; goes to/, 'mode=rewrite');
like(traced('/none/'), qr/^sticky: request has no id; goes to .*\nsticky: response 502, of nginx/,
    'no server answers');

# Neither ids nor secrets; nothing where debug is off, unless for an address.

my ($secret) = $cookie =~ /=(\w+)/;
is(scalar(grep { /secretid|TOPSECRET|$secret/ } @lines), 0, 'no id and no secret');
cmp_ok(scalar @lines, '>', 60, 'in all lines');

sub quiet {
    my ($from) = @_;
    my $socket = IO::Socket::INET->new(
        PeerAddr => '127.0.0.1:' . port(8085), LocalAddr => $from,
    ) or die "no connection: $!";
    return get('/', 'X-Page' => link_to(fresh()), { socket => $socket });
}

$read = -s $t->testdir() . '/error.log';
quiet('127.0.0.1') for 1 .. 3;
my $quiet = $t->read_file('info.log');
quiet('127.0.0.2');
ok(eventually(sub { $t->read_file('info.log') =~ /sticky: response 200/ }), 'debug_connection');
unlike($quiet, qr/sticky:/, 'no line without debug');
