#!/usr/bin/perl

# Tests for requests with several session ids: cookies of one name for two paths, an id appended to a
# link that has one, a stale id in the URL beside the cookie; without them such a client has no
# session at all, and loses a live one to a stale one.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;

use Time::HiRes qw/ sleep /;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(40);

my $servers = join "\n        ",
    map { "server 127.0.0.1:$_ max_fails=1 fail_timeout=1h;" } 8081 .. 8083;
my $configuration = <<"EOC";

%%TEST_GLOBALS%%

daemon off;
worker_processes 1;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    upstream u {
        sticky mode=query name=sid name=JSESSIONID from=query,path,cookie,form;
        $servers
    }

    upstream strict {
        sticky mode=query from=query no_fallback;
        $servers
    }

    upstream short {
        sticky mode=query from=query expires=2s;
        $servers
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  \$sticky_status  always;

        location / {
            proxy_pass http://u;
        }

        location /strict/ {
            proxy_pass http://strict/;
        }

        location /short/ {
            proxy_pass http://short/;
        }
    }
}

EOC

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', $configuration);
$t->run();

# Three live sessions, each at another server, of each upstream.

my %home;
for my $path ('/', '/strict/') {
    $home{"$path$_"} = served_by(get($path, 'X-Page' => link_to($_))) for qw/ one two three /;
    is(join('', sort map { $home{"$path$_"} } qw/ one two three /), 'ABC', "$path: three servers");
}
my ($one, $two) = @home{qw{ /one /two }};

# The first live one decides, wherever it is.

for (
    ['/?sid=stale&sid=one', 'appended'],
    ['/?sid=one&sid=stale', 'before one that was appended'],
    ['/?sid=stale&a=b;sid=%6fne', 'escaped'],
    ['/?JSESSIONID=one&sid=stale', 'of the second name'],
    ['/;sid=one?sid=stale', 'in the path'],
    ['/;sid=stale;sid=one?sid=stale', 'twice in the path'],
    ['/?sid=stale', 'in a cookie', Cookie => 'sid=one'],
    ['/', 'in the second of two cookies', Cookie => 'JSESSIONID=stale; JSESSIONID=one'],
    ['/', 'in the first of two cookies', Cookie => 'JSESSIONID=one; JSESSIONID=stale'],
    ['/', 'in a second header', Cookie => "sid=stale\x0d\x0aCookie: sid=one"],
    ['/;sid=stale1?sid=stale2', 'in the third place', Cookie => 'sid=stale3; sid=one'],
    ['/?sid=one&sid=two', 'the first of two live ones'],
    ['/?sid=one', 'before a live cookie', Cookie => 'sid=two'],
    ['/', 'of the first name', Cookie => 'JSESSIONID=two; sid=one'],
) {
    my ($uri, $what, @headers) = @$_;
    is(where($uri, @headers) . status(get($uri, @headers)), $one x 6 . 'HIT', $what);
}
my $posted = post('/?sid=stale', 'sid=one', Cookie => 'JSESSIONID=stale2');
is(served_by($posted) . status($posted), "${one}HIT", 'in a form behind all other places');
$posted = post('/?sid=two', 'sid=one');
is(served_by($posted) . status($posted), "${two}HIT", 'not in a form behind a live one');

# No more than eight different ones are looked at.

my @stale = map { "sid=stale$_" } 1 .. 8;
is(where('/?' . join '&', @stale[0 .. 6], 'sid=one'), $one x 6, 'the eighth of eight');
is(status(get('/?' . join '&', @stale, 'sid=one')), 'MISS', 'the ninth is not looked at');
is(where('/?' . join '&', ('sid=stale') x 50, 'sid=one'), $one x 6, 'equal ones count once');
is(status(get('/?' . join('&', @stale[0 .. 3]), Cookie => join '; ', @stale[4 .. 7], 'sid=one')),
    'MISS', 'all places together');

# None of them live: the first counts.

is(status(get('/?sid=stale&sid=other')), 'MISS', 'none is known');

# Only the id that decides is one that the request carried: a page of its server that shows the
# other id does not take that session away.

my $reply = get('/?sid=one&sid=two', 'X-Page' => link_to('two'));
is(served_by($reply), $one, 'a page of the server that decides');
is(where('/?sid=two'), $two x 6, 'the other session stays');

# Nor is the other session in use: it expires while the first one goes on.

my ($going_on, $over) = in_time(1, sub {
    my ($round, $is_in_time) = @_;
    my ($first, $second) = map { "$_$round" } qw/ one two /;
    get('/short/', 'X-Page' => link_to($first) . link_to($second));
    for (1 .. 16) {
        get("/short/?sid=$first&sid=$second");
        return unless $is_in_time->();
        sleep 0.25;
    }
    return map { status(get("/short/?sid=$_")) } $first, $second;
});
is($going_on, 'HIT', 'the one that decides is in use');
like($over, qr/^(?:EXPIRED|MISS)$/, 'the other one is not');

# The server of the first one cannot be used: that of the second decides. Requests without an id
# find out that it fails.

is($one, $home{'/strict/one'}, 'both at the same server') or diag(explain(\%home));
$t->write_file("closed_$one", '');
for my $path ('/', '/strict/') {
    get($path) for 1 .. 6;
    is(where("$path?sid=one&sid=two") . status(get("$path?sid=one&sid=two")),
        $home{"${path}two"} x 6 . 'HIT', "$path: the first one whose server can be used");
    is(where("$path?sid=stale&sid=one&sid=two"), $home{"${path}two"} x 6, "$path: also behind others");
}
is(where('/?sid=one', Cookie => 'sid=two'), $two x 6, 'in another place');
is(code(get('/strict/?sid=stale&sid=one&sid=other')), 502, 'no_fallback: only one is live');
is(status(get('/strict/?sid=stale&sid=other')), 'MISS', 'no_fallback: none is live');

# It was not moved by requests for which the other one decided, and is found when the server is back.

unlink $t->testdir() . "/closed_$one";
ok(reload_with($t, $configuration), 'reload, which forgets failures');
is(where('/?sid=one'), $one x 6, 'its session is still there');
is(where('/?sid=one&sid=two'), $one x 6, 'and decides again');

# One that decides although its server cannot be used: it moves.

$t->write_file("closed_$one", '');
get('/') for 1 .. 6;
$reply = get('/?sid=stale&sid=one&sid=other');
is(status($reply), 'GONE', 'the only live one decides');
is(where('/?sid=one'), served_by($reply) x 6, 'and moves to the server that has answered');
