#!/usr/bin/perl

# Tests for what an operator does by hand in a location with sticky_status: servers are drained,
# sessions moved, forgotten and looked up; without it no server can be emptied while nginx runs.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Hands;
use Sticky::Nginx;
use Sticky::Pages;
use Sticky::Visitors;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(81);

my %line = (
    # One is changed at once, the other one in a thread.
    small   => 'sticky mode=query zone=small:128k expires=1h;',
    large   => 'sticky mode=query zone=large:4m expires=1h;',
    kept    => 'sticky mode=query zone=kept:128k on_failure=keep no_fallback;',
    request => 'sticky mode=query learn=request zone=request:128k;',
    cookie  => 'sticky;',
    off     => 'sticky mode=query zone=off;',
    plain   => '',
);

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<'EOC' =~ s/UPSTREAMS/upstreams(%line)/er);

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

UPSTREAMS

    server {
        # Each worker gets its part of the connections.
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        sticky_drain_on $upstream_http_link;

        location ~ ^/at/(?<upstream>\w+)/ {
            rewrite ^/at/\w+(/.*) $1 break;
            proxy_pass http://$upstream;
        }

        location /sticky {
            sticky_status rw;
        }
    }
}

EOC

$t->run();

my $n = 0;

# A server is drained, and put back.

for my $upstream (qw/ small large kept /) {
    my $id = session_at('A', $upstream);
    my $done = done(action => 'drain', upstream => $upstream, server => port_of('A'));
    like($done->{text}, qr/^server "127.0.0.1:\d+" gets no new sessions, upstream "$upstream"$/,
        "$upstream: drained");
    unlike(news($upstream), qr/A/, 'no new sessions');
    is(where("/at/$upstream/?sid=$id"), 'A' x 6, 'its own stay');
    is(server_in($upstream, 'A')->{drain}{by}, 'hand', 'JSON says so');
    get("/at/$upstream/?sid=$id", 'X-Link' => 0);
    unlike(news($upstream), qr/A/, 'the server itself does not end that');
    done(action => 'undrain', upstream => $upstream, server => port_of('A'));
    like(news($upstream), qr/A/, 'put back');
    is(error_of(action => 'undrain', upstream => $upstream, server => port_of('A')),
        '409 the server is not drained by hand, nor says that it is', 'once');
}

my $began = begun_at('A', 'request');
done(action => 'drain', upstream => 'request', server => port_of('A'));
unlike(join('', map { served_by(get('/at/request/?sid=new' . $n++)) } 1 .. 30), qr/A/,
    'learn=request: no new sessions');
is(where("/at/request/?sid=$began"), 'A' x 6, 'its own stay');

# By its word the server is drained, and by hand put back.

my $said = session_at('B', 'small');
get("/at/small/?sid=$said", 'X-Link' => 1);
is(server_in('small', 'B')->{drain}{by}, 'server', 'a server announces it');
done(action => 'undrain', upstream => 'small', server => port_of('B'));
like(news('small'), qr/B/, 'and is put back by hand');

# A deadline.

for my $upstream (qw/ small kept /) {
    my $id = session_at('A', $upstream);
    done(action => 'drain', upstream => $upstream, server => port_of('A'), for => '1s');
    my $last = '';
    ok(eventually(sub { ($last = get("/at/$upstream/?sid=$id")) && served_by($last) ne 'A' }),
        "$upstream: its own sessions go elsewhere");
    is(status($last), 'GONE', 'as if it had left');
    ok(eventually(sub { my $it = upstream_of($upstream); $it->{planned} && $it->{planned} == $it->{requests}{GONE} }),
        'which was planned');
    my $home = served_by($last);
    is(where("/at/$upstream/?sid=$id"), $home x 6, 'and stay there');
    unlike(news($upstream), qr/A/, 'it gets no new ones either');
    done(action => 'undrain', upstream => $upstream, server => port_of('A'));
    is(where("/at/$upstream/?sid=$id"), $home x 6, 'also when it is back');
    cmp_ok(upstream_of($upstream)->{moved}{drained}, '>', 0, 'which is counted');
}

my $cookie = cookie_of('A', 'cookie');
done(action => 'drain', upstream => 'cookie', server => port_of('A'));
unlike(news('cookie'), qr/A/, 'cookies: no new clients');
is(where('/at/cookie/', Cookie => $cookie), 'A' x 6, 'its own stay');
done(action => 'drain', upstream => 'cookie', server => port_of('A'), for => '1');
my $last = '';
ok(eventually(sub { ($last = get('/at/cookie/', Cookie => $cookie)) && served_by($last) ne 'A' }),
    'after the time they go elsewhere');
ok(eventually(sub { upstream_of('cookie')->{planned} == 1 }), 'which was planned');
like((cookies($last))[0], qr/^route=(?!\Q$cookie\E)/, 'with another cookie');

like($t->read_file('error.log'), qr/ sticky: .*, drained/, 'a debug line says why');

# Sessions move to a server.

for my $upstream (qw/ small large /) {
    my @ids = map { session_at('A', $upstream) } 1 .. 20;
    my $done = done(action => 'move', upstream => $upstream, server => port_of('A'),
        to => port_of('C'));
    if ($upstream eq 'large') {
        ok(!defined $done->{sessions} && eventually(sub {
            $t->read_file('error.log') =~ /% of the sessions of server.*"large", \d+ sessions/
        }), 'a large table takes a moment');
    }
    is(join('', map { served_by(get("/at/$upstream/?sid=$_")) } @ids), 'C' x 20,
        "$upstream: 20 sessions move");
    is(join('', map { status(get("/at/$upstream/?sid=$_")) } @ids), 'HIT' x 20, 'and stay there');
}

# A part of them, to nobody: where the balancer sends their next request.

my @many = map { session_at('B', 'small') } 1 .. 60;
my $moved = done(action => 'move', upstream => 'small', server => port_of('B'), percent => 50);
cmp_ok($moved->{sessions}, '>=', 10, "$moved->{sessions} of B move");
my @replies = map { get("/at/small/?sid=$_") } @many;
my $gone = grep { status($_) eq 'GONE' } @replies;
ok($gone >= 10 && $gone <= 50, "$gone of 60 of them, to whichever server");
my $small = {};
ok(eventually(sub { $small = upstream_of('small'); $small->{planned} > $gone }), 'which was planned')
    or diag("$small->{planned} of $small->{requests}{GONE}");
is($small->{planned}, $small->{requests}{GONE}, 'as all of them were');
is(join('', map { served_by(get("/at/small/?sid=$_")) } @many), join('', map { served_by($_) } @replies),
    'each stays where it came to');

# Sessions are forgotten, and looked up.

my $id = session_at('A', 'small');
get("/at/small/?sid=$id");
my $found = done(action => 'lookup', upstream => 'small', id => $id);
is($found->{server}, port_of('A'), 'a session is looked up: its server');
ok($found->{session}{in_use}, 'it is in use');
cmp_ok($found->{session}{age}, '<=', 100, 'and young');
like($found->{text}, qr/the session is at server "127/, 'in words');
is(done(action => 'lookup', upstream => 'small', id => 'nobody')->{session}, undef, 'there is none');
my $one = session_at('A', 'small');
is(done(action => 'forget', upstream => 'small', id => $one)->{sessions}, 1, 'one is forgotten');
is(status(get("/at/small/?sid=$one")), 'MISS', 'by its id');
is(error_of(action => 'forget', upstream => 'small', id => $one),
    '404 there is no session of that id', 'once');
my $others = session_at('B', 'small');
cmp_ok(done(action => 'forget', upstream => 'small', server => port_of('A'))->{sessions}, '>', 0,
    'all of a server are forgotten');
is(status(get("/at/small/?sid=$id")), 'MISS', 'its own');
is(status(get("/at/small/?sid=$others")), 'HIT', 'and no others');
my $counted = upstream_of('small');
cmp_ok($counted->{moved}{hand}, '>=', 20 + $moved->{sessions}, 'both are counted: moved');
cmp_ok($counted->{forgotten}{hand}, '>', 1, 'and forgotten');

# What cannot be done.

is(error_of(action => 'move', upstream => 'cookie', server => port_of('A')),
    '409 this upstream has no session table: its sessions are in cookies or links', 'cookies');
is(error_of(action => 'forget', upstream => 'off', server => port_of('A')),
    '409 with zone=off each worker has sessions of its own, which no other one reaches', 'zone=off');
is(error_of(action => 'drain', upstream => 'plain', server => port_of('A')),
    '404 no upstream of that name is shown here', 'an upstream that is not sticky');
is(error_of(action => 'drain', upstream => 'small', server => '10.0.0.1:80'),
    '404 no server of that name is in this upstream', 'a server of another one');
is(error_of(action => 'move', upstream => 'small', server => port_of('A'), to => port_of('A')),
    '400 the sessions are at that server', 'a move to where they are');
is(error_of(action => 'drain', upstream => 'small', server => port_of('A'), for => 'soon'),
    '400 invalid value "soon" of parameter "for", expected a time of a second at least, such as 30m',
    'a time that is none');

# Over a reload.

done(action => 'drain', upstream => 'off', server => port_of('A'));
my %old = map { $_ => 1 } workers($t);
$t->reload();
ok(eventually(sub { !grep { $old{$_} } workers($t) }), 'nginx reloads');
unlike(news('off'), qr/A/, 'what was drained by hand is so still');

# A server that is not named for a moment.

my $configuration = $t->read_file('nginx.conf');
my $place = port_of('A');
my $without = $configuration =~ s/(upstream off \{[^}]*?)server \Q$place\E;/$1/r;
my $is_reloaded = 1;
for my $text ($without, $configuration) {
    $t->write_file('nginx.conf', $text);
    $is_reloaded &&= reloaded($t);
}
ok($is_reloaded, 'a server leaves and comes back');
unlike(news('off'), qr/A/, 'and is drained still');

# Who it was stands in the log, an id does not.

my $log = join '', map { "$_\n" } grep { / sticky: / } split /\n/, $t->read_file('error.log');
like($log, qr/\[notice\] .* sticky: 127.0.0.1: server "127.0.0.1:\d+" gets no new sessions, upstream "off"/,
    'a notice says who did what');
like($log, qr/\[notice\] .* sticky: 127.0.0.1: a session is forgotten, upstream "small"/, 'of all');
unlike($log =~ s/request: "[^"]*"//gr, qr/\Q$one\E/, 'without the id');
