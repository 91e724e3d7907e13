#!/usr/bin/perl

# Tests for reloads and zones that several upstreams use: another size, an upstream that leaves or
# joins, shorter limits, and old workers that still answer long requests; without it a change of one
# upstream's line logs out the users of another.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;
use Sticky::Traffic;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(48);

$t->write_file_expand('backends.conf', backends());

# The parameters of each upstream.
my $conf = sub {
    my (%parameters) = (
        one => 'zone=all:128k', two => 'zone=all', three => 'zone=own:64k', slow => 'zone=all', @_
    );
    my $upstreams = '';
    for my $name (sort keys %parameters) {
        my $ports = { two => '8083 8082 8081', slow => '8084' }->{$name} // '8081 8082 8083';
        my $servers = join "\n        ", map { "server 127.0.0.1:$_;" } split ' ', $ports;
        $upstreams .= <<"EOC";

    upstream $name {
        sticky mode=query $parameters{$name};
        $servers
    }
EOC
    }
    my $locations = join '', map { "\n        location /$_/ { proxy_pass http://$_/; }" }
        sort keys %parameters;
    return <<"EOC";

%%TEST_GLOBALS%%

daemon off;

worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    # Its debug messages would be most of the work.
    error_log %%TESTDIR%%/error.log notice;

    # Pieces of a response pass as they come.
    postpone_output 0;
    proxy_buffering off;

    include backends.conf;
$upstreams
    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  \$sticky_status  always;
$locations
    }
}

EOC
};

$t->write_file_expand('nginx.conf', $conf->());
$t->run_daemon(\&scripted, port(8084), 'S', $t->testdir());
$t->run();
$t->waitforsocket('127.0.0.1:' . port(8084));

# The same ids in two upstreams, whose sessions are mostly at different servers.

my %home = map { $_ => { hand_out("/$_/", 'id', 100) } } qw/ one two /;
is(moved('one'), 0, 'sessions of the first');
is(moved('two'), 0, 'sessions of the second');
cmp_ok(differing($home{one}, $home{two}), '>', 0, 'at different servers');

for (
    ['larger',                  one => 'zone=all:256k'],
    ['smaller',                 one => 'zone=all:64k'],
    ['the size elsewhere',      one => 'zone=all', two => 'zone=all:64k'],
    ['no size: the default',    one => 'zone=all'],
    ['a third joins',           three => 'zone=all'],
    ['it leaves, size changed', one => 'zone=all:96k'],
    ['other limits',            one => 'zone=all:96k expires=2h', two => 'zone=all expires=1h'],
) {
    my ($what, %parameters) = @$_;
    ok(reload_with($t, $conf->(%parameters)), "reload: $what");
    is(moved('one'), 0, "$what: the first holds");
    is(moved('two'), 0, "$what: the second holds");
}

# Away from the zone, in another one: its sessions stay behind, and are there when it comes back.

ok(reload_with($t, $conf->(two => 'zone=other:64k')), 'reload: the second leaves');
is(moved('one'), 0, 'the second away: the first holds');
is(status(get('/two/?sid=id1')), 'MISS', 'the second away: begins anew');
ok(reload_with($t, $conf->()), 'reload: the second comes back');
is(moved('one') + moved('two'), 0, 'both hold');

# Other names: a zone is known by its name, an upstream in it by its own.

ok(reload_with($t, $conf->() =~ s/zone=all/zone=renamed/gr), 'reload: another name of the zone');
is(status(get('/one/?sid=id1')), 'MISS', 'zone renamed: begins anew');
ok(reload_with($t, $conf->()), 'reload: a zone of the old name');
is(status(get('/one/?sid=id1')), 'MISS', 'which has not waited');

%home = map { $_ => { hand_out("/$_/", 'id', 100) } } qw/ one two /;
my $renamed = $conf->() =~ s/upstream two /upstream other /r =~ s!http://two/!http://other/!r;
ok(reload_with($t, $renamed), 'reload: another name of an upstream');
is(status(get('/two/?sid=id1')), 'MISS', 'upstream renamed: begins anew');
ok(reload_with($t, $conf->()), 'reload: the old name');
is(moved('one') + moved('two'), 0, 'both hold');

# Refused: nothing has happened.

$t->write_file_expand('nginx.conf', $conf->(one => 'zone=all:256k', two => 'zone=all:64k'));
$t->reload();
ok(eventually(sub {
    return $t->read_file('error.log') =~ /\[emerg\].*conflicts with already declared size/;
}), 'a reload that is refused');
is(moved('one') + moved('two'), 0, 'both hold');
ok(reload_with($t, $conf->()), 'reload: as it was');
is(moved('one') + moved('two'), 0, 'both hold after that');

# A limit that is shorter than the time since a session was used; the others' limits stay.

select undef, undef, undef, 2.1;
ok(reload_with($t, $conf->(two => 'zone=all expires=1s')), 'reload: shorter limit');
like(status(get('/two/?sid=id1')), qr/^(?:EXPIRED|MISS)$/, 'shorter limit: over at once');
is(moved('one'), 0, 'shorter limit: not for the first');

# A response that has begun before the reload, and hands its id out after it: by then other workers
# look the id up. They have the same zone, or one of another size that was copied earlier.

my %late = (
    'the same zone' => ['late1', $conf->()],
    'a zone of another size' => ['late2', $conf->(one => 'zone=all:256k')],
);
for my $what ('the same zone', 'a zone of another size') {
    my ($id, $next) = @{ $late{$what} };
    my $script = script("Content-Type: text/html\x0d\x0a\x0d\x0a<html>", \"?$id", "<a href='?sid=$id'>");
    my $client = http("GET /slow/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        . "X-Script: $script\r\n\r\n", start => 1);
    read_until($client, qr/<html>/);
    my %before = map { $_ => 1 } workers($t);
    $t->write_file_expand('nginx.conf', $next);
    $t->reload();
    eventually(sub { 2 <= grep { !$before{$_} } workers($t) });
    stopped_listening(keys %before);
    my $early = status(get("/slow/?sid=$id"));
    $t->write_file($id, '');
    like(read_until($client, qr/sid=/), qr/sid=/, "$what: the old worker ends what it has begun");
    is($early . ' ' . status(get("/slow/?sid=$id")), "MISS HIT",
        "$what: what it learned then");
    eventually(sub { !grep { kill 0, $_ } keys %before });
}

# How many sessions are not where they were.
sub moved {
    my ($name) = @_;
    return differing($home{$name}, { bring_back("/$name/", keys %{ $home{$name} }) });
}
