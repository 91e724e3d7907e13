#!/usr/bin/perl

# Tests for $sticky_learned, $sticky_skipped, $sticky_age and $sticky_id_hash, which tell an operator
# what the module has made of a response and which session a request belongs to; without them a log
# shows that sessions break, and not why.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;

use Time::HiRes qw/ sleep /;

my $t = Test::Nginx->new()->has(qw/ http proxy cache gzip /);

my %upstream = (
    u         => 'sticky mode=query from=query,cookie learn=html,location,cookie;',
    off       => 'sticky mode=query from=query zone=off;',
    forms     => 'sticky mode=query learn=forms;',
    header    => 'sticky mode=query from=query learn=header:Link;',
    variable  => 'sticky mode=query from=query learn=$upstream_http_link;',
    json      => 'sticky mode=query from=query learn=json,xml;',
    script    => 'sticky mode=query from=query learn=script;',
    text      => 'sticky mode=query from=query learn=text,sse;',
    request   => 'sticky mode=query from=query learn=request;',
    short     => 'sticky mode=query from=query learn=html expires=1s;',
    create    => 'sticky learn create=$upstream_http_link lookup=$arg_sid zone=create:1m norefresh;',
    cookie    => 'sticky;',
    rewrite   => 'sticky mode=rewrite;',
);

$t->write_file_expand('backends.conf', backends() . <<'EOC');

    server {
        listen  127.0.0.1:8084;

        location /events   { default_type text/event-stream; return 200 "data: /m?sid=sse1\n\n"; }
        location /packed   { default_type text/html; add_header Content-Encoding gzip;
                             return 200 "this is no gzip"; }
        location /unknown  { default_type text/html; add_header Content-Encoding compress;
                             return 200 "?"; }
        location /image    { default_type image/png; return 200 png; }
        location /empty    { default_type image/png; return 200; }
        location /shared   { add_header Cache-Control public; return 200 page; }
    }
EOC

my $blocks = upstreams(%upstream);
my $locations = join '', map { "location /$_/ {\nproxy_pass http://$_/;\n}\n" } sort keys %upstream;

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    large_client_header_buffers 4 32k;
    proxy_buffer_size 32k;
    proxy_buffers 4 32k;
    proxy_cache_path %%TESTDIR%%/cache keys_zone=cache:1m;
    log_format  seen  '\$request_id [\$sticky_learned|\$sticky_skipped|\$sticky_age|\$sticky_id_hash] '
        '\$sticky_status \$pid';

    include backends.conf;

    $blocks
    upstream odd {
        sticky mode=query from=query learn=html,location,cookie;
        server 127.0.0.1:8084;
    }

    upstream events {
        sticky mode=query from=query learn=sse;
        server 127.0.0.1:8084;
    }

    upstream shared {
        sticky;
        server 127.0.0.1:8084;
    }

    server {
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;
        access_log   %%TESTDIR%%/seen.log  seen;
        add_header   X-Id       \$request_id       always;
        add_header   X-Status   \$sticky_status    always;
        add_header   X-Learned  \$sticky_learned   always;
        add_header   X-Skipped  \$sticky_skipped   always;
        add_header   X-Hash     \$sticky_id_hash   always;

        $locations
        location /odd/ {
            proxy_pass http://odd/;
        }

        location /events/ {
            proxy_pass http://events/;
        }

        location /shared/ {
            proxy_pass http://shared/shared;
        }

        location /ended/ {
            proxy_pass http://u/;
        }

        location /hidden/ {
            proxy_pass http://u/;
            proxy_hide_header Set-Cookie;
        }

        location /cached/ {
            proxy_pass http://u/;
            proxy_cache cache;
            proxy_cache_valid 200 1h;
            proxy_ignore_headers Set-Cookie;
        }

        location /stale/ {
            proxy_pass http://u/;
            proxy_cache cache;
            proxy_cache_valid 200 1s;
            proxy_cache_use_stale http_500;
            proxy_ignore_headers Set-Cookie;
        }

        location /none/ {
            proxy_pass http://127.0.0.1:8081/;
        }
    }
}

EOC

$t->run()->plan(79);

my $number = 0;

# Ids that nobody has used before.
sub fresh { return 'id' . ++$number . 'x' }

# What the log says of a response.
sub seen {
    my ($reply) = @_;
    my $request = header('X-Id', $reply);
    my $line;
    eventually(sub { ($line) = $t->read_file('seen.log') =~ /^$request (.*)$/m });
    my ($learned, $skipped, $age, $hash, $status, $pid)
        = ($line // '') =~ /^\[(.*)\|(.*)\|(.*)\|(.*)\] (\S+) (\d+)$/;
    return {
        learned => $learned, skipped => $skipped, age => $age, hash => $hash, status => $status,
        pid => $pid,
    };
}

sub page { return ('X-Page' => join ' ', map { ref ? $$_ : link_to($_) } @_) }

# What was learned from what.

my $script = '<script>var a = { sid: "%s" };</script>';
for my $case (
    ['/u/', [page(fresh())], 'html:1'],
    ['/u/', [page(fresh(), fresh(), fresh())], 'html:3'],
    ['/u/302', ['X-Location' => '/?sid=' . fresh()], 'location:1'],
    ['/u/', ['X-Refresh' => '5; url=/?sid=' . fresh()], 'location:1'],
    ['/u/', ['X-Set-Cookie' => 'sid=' . fresh()], 'cookie:1'],
    ['/u/', ['X-Set-Cookie' => 'sid=' . fresh(), page(fresh(), fresh())], 'html:2, cookie:1'],
    ['/off/', [page(fresh())], 'html:1'],
    ['/forms/', ['X-Page' => sprintf '<form action="/?sid=%s"></form>', fresh()], 'forms:1'],
    ['/header/', ['X-Link' => fresh()], 'header:1'],
    ['/variable/', ['X-Link' => fresh()], 'variable:1'],
    ['/json/type/json', ['X-Page' => sprintf '{"sid":"%s"}', fresh()], 'json:1'],
    ['/json/type/xml', ['X-Page' => sprintf '<a><sid>%s</sid></a>', fresh()], 'xml:1'],
    ['/script/', ['X-Page' => sprintf $script, fresh()], 'script:1'],
    ['/text/type/plain', ['X-Page' => '/?sid=' . fresh()], 'text:1'],
    ['/events/events', [], 'sse:1'],
    ['/create/', ['X-Link' => fresh()], 'create:1'],
) {
    my ($uri, $headers, $expected) = @$case;
    my $reply = get($uri, @$headers);
    my $seen = seen($reply);
    is("$seen->{learned} $seen->{status}", "$expected NEW", "$uri: $expected");
}

my $id = fresh();
is(seen(get("/request/?sid=$id"))->{learned}, 'request:1', 'learn=request');
is(seen(get("/request/?sid=$id"))->{learned}, '-', 'it was known');

$id = fresh();
my $reply = get('/u/302', 'X-Location' => "/?sid=$id");
is(header('X-Learned', $reply), 'location:1', 'in add_header: what the header has shown');
my $seen = seen(get("/u/?sid=$id", page($id)));
is("$seen->{learned} $seen->{skipped} $seen->{status}", '- - HIT', 'a known id: nothing to tell');
is(seen(get('/none/', page(fresh())))->{learned}, '-', 'no sticky upstream');

# Why something was not learned.

my $long = 'x' x 4097;
for my $case (
    ['/odd/image', [], 'type'],
    ['/odd/empty', [], '-'],
    ['/header/', [page(fresh())], '-', 'no source reads bodies'],
    ['/odd/unknown', [], 'coding'],
    ['/odd/packed', [], 'given_up'],
    ['/rewrite/', [], '-'],
    ['/u/', [page($long)], 'size'],
    ['/u/', ['X-Set-Cookie' => "sid=$long"], 'size'],
    ['/u/', ['X-Page' => '<a href="http://other.example/?sid=' . fresh() . '">'], 'host'],
    ['/u/', ['X-Page' => '<a href="http://other.example/?side=1">'], '-', 'no id in it'],
    ['/u/', ['X-Page' => '<a href="mailto:me?sid=1">'], '-', 'no host'],
    ['/forms/', ['X-Page' => '<form action="//other.example/?sid=1"></form>'], 'host'],
    ['/u/302', ['X-Location' => 'http://other.example/?sid=' . fresh()], 'host'],
    ['/u/302', ['X-Location' => 'http://other.example/'], '-', 'no id in Location'],
    ['/text/type/plain', ['X-Page' => 'http://other.example/?sid=' . fresh()], 'host'],
    ['/u/500', [page(fresh())], 'status'],
    ['/u/503', ['X-Set-Cookie' => 'sid=' . fresh()], 'status'],
    ['/json/type/xml', ['X-Page' => '<!DOCTYPE a><a><sid>1</sid></a>'], 'given_up'],
    ['/hidden/', ['X-Set-Cookie' => 'sid=' . fresh()], 'hidden'],
    ['/hidden/', ['X-Set-Cookie' => 'other=' . fresh()], '-', 'no id is hidden'],
    ['/shared/', [], 'shared'],
    ['/u/type/plain', ['X-Page' => 'text', 'X-Content-Location' => '//other.example/?sid=1'],
        'type, host'],
) {
    my ($uri, $headers, $expected, $why) = @$case;
    my $seen = seen(get($uri, @$headers));
    my ($status) = $uri eq '/rewrite/' ? 'NEW' : 'NONE';
    is("$seen->{learned} $seen->{skipped} $seen->{status}", "- $expected $status",
        join ': ', $uri, $why // $expected);
}

is(header('X-Skipped', get('/u/500', page(fresh()))), 'status', 'in add_header');

# What is met in a request is no matter of the response.
$seen = seen(get("/u/?sid=$long", page(fresh())));
is("$seen->{learned} $seen->{skipped} $seen->{status}", 'html:1 - NEW', 'a long id in the request');

# From the cache: without a server, and instead of its failure.
$id = fresh();
is(seen(get('/cached/', page($id)))->{skipped}, '-', 'fetched for the cache');
my $cached = seen(get('/cached/'));
is("$cached->{learned} $cached->{skipped}", '- cache', 'from the cache');
is(seen(get('/none/'))->{skipped}, '-', 'no sticky upstream');

get('/stale/?stale', page(fresh()));
$t->write_file("failed_$_", '') for qw/ A B C /;
my $stale = eventually(sub {
    my $seen = seen(get('/stale/?stale', page(fresh())));
    return $seen->{status} ne '-' && $seen;
});
is("$stale->{skipped} $stale->{status}", 'cache NONE', 'from the cache, as the server has failed');
unlink $t->testdir() . "/failed_$_" for qw/ A B C /;

# The age of the session.

$id = fresh();
is(seen(get('/u/', page($id)))->{age}, '-', 'age: no session');
is(seen(get("/u/?sid=unknown"))->{age}, '-', 'age: unknown');
my ($first) = in_time(1, sub {
    my $own = fresh();
    get('/u/', page($own));
    return seen(get("/u/?sid=$own"))->{age};
});
like($first, qr/^[01]$/, 'age: young');
sleep 2.1;
cmp_ok(seen(get("/u/?sid=$id"))->{age}, '>=', 2, 'age: older');
cmp_ok(seen(get("/u/", Cookie => "sid=$id", 'X-Set-Cookie' => 'sid=; Max-Age=0'))->{age}, '>=', 2,
    'age: of a session that the response ends');
$seen = seen(get("/u/?sid=$id"));
is("$seen->{age} $seen->{status}", '- MISS', 'and it has ended');

$id = fresh();
get('/create/', 'X-Link' => $id);
sleep 1.1;
$seen = seen(get("/create/?sid=$id"));
is($seen->{status}, 'HIT', 'sticky learn');
cmp_ok($seen->{age}, '>=', 1, 'sticky learn: age');
like($seen->{hash}, qr/^[0-9a-f]{8}$/, 'sticky learn: hash');

$id = fresh();
get('/short/', page($id));
sleep 3.1;
$seen = seen(get("/short/?sid=$id"));
is("$seen->{age} $seen->{status}", '- EXPIRED', 'age: expired');
is(seen(get("/request/?sid=$id"))->{age}, 0, 'age: of a session that the request begins');

# The hash of the id.

$id = fresh();
$reply = get('/u/302', 'X-Location' => "/?sid=$id");
my $new = seen($reply);
my $hash = $new->{hash};
like($hash, qr/^[0-9a-f]{8}$/, 'hash: of the id that the response has begun');
is(header('X-Hash', $reply), $hash, 'hash: in add_header');
is(seen(get("/u/?sid=$id"))->{hash}, $hash, 'hash: of the id in the query');
is(seen(get('/u/', Cookie => "sid=$id"))->{hash}, $hash, 'hash: of the same in a cookie');
is(seen(get("/u/?sid=$id", page(fresh())))->{hash}, $hash, 'hash: that of the request counts');
is(header('X-Hash', get("/u/?sid=$id")), $hash, 'hash: in add_header, of a request');
isnt(seen(get('/u/', page(fresh())))->{hash}, $hash, 'hash: another id, another hash');
isnt(seen(get("/request/?sid=$id"))->{hash}, $hash, 'hash: another upstream, another hash');
like(seen(get('/u/?sid=unknown'))->{hash}, qr/^[0-9a-f]{8}$/, 'hash: of an unknown id');
is(seen(get('/u/'))->{hash}, '-', 'hash: no id');
is(seen(get('/cookie/'))->{hash}, '-', 'hash: mode=cookie');
is(seen(get('/rewrite/'))->{hash}, '-', 'hash: mode=rewrite');
is(seen(get('/none/?sid=1'))->{hash}, '-', 'hash: no sticky upstream');

my (%workers, %hashes);
eventually(sub {
    my $seen = seen(get("/u/?sid=$id"));
    $workers{ $seen->{pid} } = 1;
    $hashes{ $seen->{hash} } = 1;
    return keys %workers == 2;
});
is(join(' ', keys(%hashes), scalar keys %workers), "$hash 2", 'hash: the same in all workers');

my $off = fresh();
my $of_off = seen(get('/off/', page($off)))->{hash};
like($of_off, qr/^[0-9a-f]{8}$/, 'hash: zone=off');
my %of_off;
$of_off{ seen(get("/off/?sid=$off"))->{hash} } = 1 for 1 .. 8;
is(join(' ', keys %of_off), $of_off, 'hash: zone=off, the same in all workers');

ok(reloaded($t), 'reloaded');
# A connection may have been queued for a worker that has ended meanwhile.
my $after;
eventually(sub { my $reply = get("/u/?sid=$id"); $after = status($reply) && seen($reply)->{hash} });
is($after, $hash, 'hash: the same after a reload');

unlike($t->read_file('error.log'), qr/panic/, 'no panic');
