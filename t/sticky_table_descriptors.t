#!/usr/bin/perl

# Tests for what processes have open after reloads that change the size of a zone: a file in memory
# of the table, one that says who is left of older configurations, and no more for each worker that
# there was. Without it, such reloads use up the files that nginx may open.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;
use Sticky::Traffic;

plan(skip_all => 'needs /proc/PID/fd') if !-d "/proc/$$/fd";

my $t = Test::Nginx->new()->has(qw/http proxy/)->plan(14);

# A worker is killed.
$t->todo_alerts();

my $conf = sub {
    my ($size) = @_;
    return <<"EOC";

%%TEST_GLOBALS%%

daemon off;

worker_processes 4;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    error_log %%TESTDIR%%/error.log notice;

    # Pieces of a response pass as they come.
    postpone_output 0;
    proxy_buffering off;

    upstream u {
        sticky mode=query zone=z:$size;
        server 127.0.0.1:8081;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  \$sticky_status  always;

        location / {
            proxy_pass http://u;
        }
    }
}

EOC
};

my $dir = $t->testdir();
$t->write_file_expand('nginx.conf', $conf->('128k'));
$t->run_daemon(\&scripted, port(8081), 'A', $dir);
$t->run();
$t->waitforsocket('127.0.0.1:' . port(8081));

my ($master) = $t->read_file('nginx.pid') =~ /(\d+)/;
ok(eventually(sub { workers($t) == 4 && get('/') }), 'four workers');
my $first = open_in($master);
my $worker = open_in((workers($t))[0]);
is($first, 'sticky/counters users z', 'the master has the files of the zones');

# Reloads one after the other.

my @seen;
for my $size (qw/ 256k 512k 64k 1m 128k 256k /) {
    my $freed = freed();
    ok(reload_with($t, $conf->($size)) && eventually(sub { freed() > $freed }), "$size: one table");
    push @seen, open_in($master);
    push @seen, 'worker: ' . open_in($_) for grep { open_in($_) ne $worker } workers($t);
}
is(join(', ', @seen), join(', ', ('sticky/counters users z z') x 6), 'the file of the one before is left, and no more');
reload_with($t, $conf->('256k'));
is(open_in($master), $first, 'until the next reload');

# A worker that does not end, and reloads meanwhile. Nobody has more for it than a file of each table.

my $client = http("GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" . 'X-Script: '
    . script("Content-Type: text/html\x0d\x0a\x0d\x0a<html>", \'*') . "\r\n\r\n", start => 1);
read_until($client, qr/<html>/);
my @oldest = workers($t);
my %old = map { $_ => 1 } @oldest;
for my $size (qw/ 512k 1m /) {
    my %before = map { $_ => 1 } workers($t);
    $t->write_file_expand('nginx.conf', $conf->($size));
    $t->reload();
    eventually(sub { 4 == grep { !$before{$_} } workers($t) });
    eventually(sub { workers($t) == 5 });
}
my @new = grep { !$old{$_} } workers($t);
is(join(', ', map { open_in($_) } $master, @new), join(', ', 'sticky/counters users z z z', ('users') x 4),
    'while an old worker is left');

# Worker 0 is killed. The one in its place knows that the old one is still there.

my $freed = freed();
kill 'KILL', @new;
ok(eventually(sub { 4 == grep { !$old{$_} && kill 0, $_ } workers($t) }), 'new workers are killed');
select undef, undef, undef, 2.5;
is(freed(), $freed, 'those that follow know of the old one');
close $client;
ok(eventually(sub { freed() > $freed }), 'and when it has ended');

$t->finish();

sub freed {
    my $count = () = $t->read_file('error.log') =~ /zone of another size is freed/g;
    return $count;
}

# What a process has open besides sockets, logs, what nginx itself has and what it got from this test:
# zones, `users`, and whatever else.
sub open_in {
    my ($pid) = @_;
    my %ours = map { $_ => 1 } grep { defined } map { readlink } glob "/proc/$$/fd/*";
    return join ' ', sort grep { length } map {
        my $link = readlink // '';
        $ours{$link} ? '' :
            $link =~ /^\/memfd:nginx-sticky:(\S+)\.\d+ / ? $1
            : $link =~ /^\/memfd:nginx-sticky-(\S+) / ? $1
            : $link =~ /^socket:|^pipe:|eventpoll|eventfd|\[aio\]|^\/dev\/|\.log$|^\Q$dir\E/ ? ''
            : $link;
    } glob "/proc/$pid/fd/*";
}
