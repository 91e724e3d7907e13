#!/usr/bin/perl

# Tests for the key of a zone when sticky_cluster comes, goes or gets another key file, by a reload and
# by a restart with a state file; without them the day on which the second nginx is added logs out all
# users of the first one. No store is there: the key has nothing to do with it.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;
use Sticky::State;
use Sticky::Traffic;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(37);
my $dir = $t->testdir();

$t->write_file_expand('backends.conf', backends());
$t->write_file("key$_", "0123456789abcde$_\n") for 1 .. 4;

my @servers = map { "server 127.0.0.1:$_ route=r$_;" } 8081 .. 8083;

# With these words of sticky_cluster, or none, and this size of the zone.
my $conf = sub {
    my ($words, $size) = @_;
    $words //= '';
    $size //= '256k';
    my $cluster = $words && "sticky_cluster redis://127.0.0.1:%%PORT_8099%% wait=0 $words;";
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

    postpone_output 0;
    proxy_buffering off;

    include backends.conf;
    $cluster

    upstream one {
        sticky mode=query zone=all:$size state=all.state;
        @servers
    }

    upstream left {
        sticky mode=query zone=all share=both;
        @servers[0, 1]
    }

    upstream right {
        sticky mode=query zone=all share=both;
        @servers[1, 2]
    }

    upstream slow {
        sticky mode=query zone=all;
        server 127.0.0.1:8084 route=s;
        $servers[0]
    }

    upstream apart {
        sticky mode=query zone=apart:64k cluster=off;
        @servers
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  \$sticky_status  always;

        location /one/   { proxy_pass http://one/; }
        location /left/  { proxy_pass http://left/; }
        location /right/ { proxy_pass http://right/; }
        location /slow/  { proxy_pass http://slow/; }
        location /apart/ { proxy_pass http://apart/; }
    }
}

EOC
};

$t->write_file_expand('nginx.conf', $conf->());
$t->run_daemon(\&scripted, port(8084), 'S', $dir);
$t->run();
$t->waitforsocket('127.0.0.1:' . port(8084));

my (%home, $rounds);

# Hands out ids of each upstream. They are there before the change that comes.
sub hand_out_all {
    $rounds++;
    $home{$_} = { hand_out("/$_/", "$_$rounds-", 96) } for qw/ one left right apart /;
    return;
}

# How many sessions are not where they were; of half of them, those that no request has brought back
# until now, where nothing else is said.
sub moved {
    my ($even) = @_;
    my $moved = 0;
    for my $name (keys %home) {
        my @ids = grep { /(\d)$/ && $1 % 2 != $even } keys %{ $home{$name} };
        my %here = bring_back("/$name/", @ids);
        $moved += differing({ map { $_ => $home{$name}{$_} } @ids }, \%here);
        diag "$_ $home{$name}{$_} $here{$_}" for grep { $home{$name}{$_} ne $here{$_} } @ids;
    }
    return $moved;
}

# Sessions in the state file, that were all used.
sub sessions_in_file {
    my $bytes = $t->read_file('all.state');
    my ($at, $count) = (64, 0);
    while ($at < length $bytes) {
        my ($kind, undef, $length) = unpack 'V V Q<', substr $bytes, $at;
        $count += $length / 16 if $kind == 2;
        $at += 16 + $length;
    }
    return $count;
}

# A reload with the line, and without it again; with another key, and with another one still, although
# some of the sessions were not used since the first time.

hand_out_all();
my %late = late_answer($conf->('key_file=key1'));
is("$late{early} $late{then}", 'MISS HIT', 'what an old worker has learned after the line was added');
is(moved(0), 0, 'the line is added: sessions hold');
is(moved(0), 0, 'and still do');
my %first = %home;
hand_out_all();
is(moved(0), 0, 'new ones, too');

ok(reload_with($t, $conf->()), 'reload: without the line');
is(moved(0) + moved(1), 0, 'sessions hold');
%home = %first;
is(moved(1), 0, 'those of before the line as well');

ok(reload_with($t, $conf->('key_file=key2')), 'reload: another key, the one before is not named');
is(moved(0), 0, 'sessions hold');
ok(reload_with($t, $conf->('key_file=key3 old_key_file=key2')), 'reload: another one, with it');
is(moved(0) + moved(1), 0, 'sessions hold, also those of two keys before');
hand_out_all();
ok(reload_with($t, $conf->('key_file=key4 old_key_file=key3', '128k')), 'reload: another key and size');
is(moved(0) + moved(1), 0, 'sessions hold');
ok(reload_with($t, $conf->('key_file=key4', '128k')), 'reload: no key of before');
is(moved(0) + moved(1), 0, 'sessions hold');

# Each is there once: in the file that nginx writes at its end, too.

ok(ended($t, 'QUIT'), 'it has ended');
unlink "$dir/all.state";
$t->write_file_expand('nginx.conf', $conf->());
$t->run();
hand_out_all();
delete $home{apart}; # It has no file.
is(moved(0) + moved(1), 0, 'all in use');
ok(ended($t, 'QUIT'), 'it has ended');
my $before = sessions_in_file();
is($before, 3 * 96, 'all are in the file');

$t->write_file_expand('nginx.conf', $conf->('key_file=key1'));
$t->run();
is(moved(0), 0, 'restarted with the line: sessions hold');
ok(restarted($t, 'QUIT'), 'and again');
is(moved(0) + moved(1), 0, 'sessions hold, also those that were not used meanwhile');
ok(ended($t, 'QUIT'), 'it has ended');
is(sessions_in_file(), $before, 'each is in the file once');
$t->write_file_expand('nginx.conf', $conf->('key_file=key2 old_key_file=key1'));
$t->run();
is(moved(0) + moved(1), 0, 'restarted with another key: sessions hold');
ok(ended($t, 'QUIT'), 'it has ended');
$t->write_file_expand('nginx.conf', $conf->('key_file=key2'));
$t->run();
is(moved(0) + moved(1), 0, 'restarted without the one before: sessions hold');

# Two nginx with one key and one state file have each other's sessions; with another key they do not.

ok(ended($t, 'QUIT'), 'it has ended');
my $file = $t->read_file('all.state');
unlink "$dir/all.state";
$t->run();
my ($id) = keys %{ $home{one} };
is(status(get("/one/?sid=$id")), 'MISS', 'without its file it has nothing');
ok(ended($t, 'QUIT'), 'it has ended');
$t->write_file('all.state', $file);
$t->run();
is(moved(0) + moved(1), 0, 'with the file it has all, under the key of all nodes');

# A session that has moved since, or ended, is not found again where it was.

ok(reload_with($t, $conf->('key_file=key3 old_key_file=key2')), 'reload: another key');
my %other = hand_out('/one/', 'again', 8);
ok(reload_with($t, $conf->('key_file=key4 old_key_file=key3')), 'reload: another key');
my ($again) = sort keys %other;
my $page = "<a href=?sid=$again>";
my @served = map {
    served_by(http("GET /one/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Page: $page\r\n\r\n"))
} 1 .. 6;
is(scalar(grep { $_ ne $other{$again} } @served) > 0, 1, 'other servers hand its id out');
my %here = bring_back('/one/', $again);
is($here{$again}, $other{$again}, 'it stays where it is, although no request has come back under this key');

# There is no store in this test.
my @odd = grep { !/\[(?:debug|notice)\]|the store cannot be used/ } $t->read_file('error.log') =~ /^.*sticky.*$/mg;
is(join("\n", @odd), '', 'nothing to complain about');

# A response that has begun before this reload hands its id out after it.
sub late_answer {
    my ($next) = @_;
    my $id = 'late1';
    my $script = script("Content-Type: text/html\x0d\x0a\x0d\x0a<html>", \"?$id", "<a href='?sid=$id'>");
    my $client = http("GET /slow/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        . "X-Script: $script\r\n\r\n", start => 1);
    read_until($client, qr/<html>/);
    my %before = map { $_ => 1 } workers($t);
    $t->write_file_expand('nginx.conf', $next);
    $t->reload();
    eventually(sub { 2 <= grep { !$before{$_} } workers($t) });
    stopped_listening(keys %before);
    my %late = (early => status(get("/slow/?sid=$id")));
    $t->write_file($id, '');
    like(read_until($client, qr/sid=/), qr/sid=/, 'an old worker ends what it has begun');
    $late{then} = status(get("/slow/?sid=$id"));
    eventually(sub { !grep { kill 0, $_ } keys %before });
    return %late;
}
