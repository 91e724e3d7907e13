#!/usr/bin/perl

# Tests for mode=discover where frames of a WebSocket may hand ids out; without them a line comes first
# whose sessions begin at other servers than those that know them.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Shapes;
use Sticky::Upstreams qw/ configure /;

my $t = Test::Nginx->new()->has(qw/http proxy/);

$t->run_daemon(\&server, port(8081 + $_), (qw/ A B C /)[$_]) for 0 .. 2;
$t->waitforsocket('127.0.0.1:' . port(8081 + $_)) for 0 .. 2;
configure($t, { map { $_ => 'sticky mode=discover;' } qw/ before behind within / }, uri => '',
    of_server => 'proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;'
        . ' proxy_set_header Connection "upgrade";');
$t->try_run('no module')->plan(9);

my @upgrade = (Connection => 'Upgrade', Upgrade => 'websocket');
for my $visitor (1 .. visitors()) {
    my ($before, $behind, $within) = map { new_id() } 1 .. 3;

    # An id that the client makes, before it has a WebSocket.
    as($visitor, uri => '/before/');
    as($visitor, uri => "/before/session/$before/a") for 1 .. 2;
    my $reply = as($visitor, uri => '/before/socket', headers => [@upgrade]);
    is(code($reply), 101, 'a connection is upgraded') if $visitor == 1;

    # One that frames may have handed out.
    as($visitor, uri => '/behind/');
    as($visitor, uri => '/behind/socket', headers => [@upgrade, 'Sec-WebSocket-Key' => new_id()]);
    as($visitor, uri => "/behind/session/$behind/a") for 1 .. 2;

    # One that the client makes for a WebSocket: it has another one, too.
    as($visitor, uri => '/within/');
    as($visitor, uri => '/within/socket', headers => [@upgrade]);
    as($visitor, uri => "/within/session/$within/socket", headers => [@upgrade]);
    as($visitor, uri => "/within/session/$within/a");
}

for my $name (qw/ before within /) {
    my $found = discovered($name);
    my @lines = map { $_->{directive} } @{ $found->{candidates} };
    is_deeply(\@lines, ["sticky mode=query from=segment:/$name/session/ learn=request;", 'sticky;'],
        "$name: ids that clients make come before a cookie") or diag(explain($found));
    like($found->{candidates}[0]{uncertain}, qr/clients seem to make it/, "$name: and why they are uncertain");
}
my $found = discovered('behind');
my @lines = map { $_->{directive} } @{ $found->{candidates} };
is_deeply(\@lines, ['sticky;', 'sticky mode=query from=segment:/behind/session/ learn=request;'],
    'behind: a cookie comes before ids that frames may hand out') or diag(explain($found));
like($found->{candidates}[0]{uncertain}, qr/clients seem to be browsers/, 'behind: why the cookie is uncertain');
like($found->{candidates}[1]{uncertain}, qr/if its frames hand it out/, 'behind: and why they are');
is($found->{requests}, 4 * visitors(), 'behind: requests that were looked at');
