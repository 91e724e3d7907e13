#!/usr/bin/perl

# Tests for reloads that change the size of a zone while it is in use: old workers have the old zone
# alone, new ones have both until the old ones are gone. Without it, the sessions that begin around
# such a reload meet the wrong server.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;
use Sticky::Traffic;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(27);

# Workers are killed.
$t->todo_alerts();

my $conf = sub {
    my ($size, $state) = @_;
    $state = $state ? "state=$state" : '';
    return <<"EOC";

%%TEST_GLOBALS%%

daemon off;

worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    error_log %%TESTDIR%%/error.log notice;

    # Pieces of a response pass as they come.
    postpone_output 0;
    proxy_buffering off;

    upstream u {
        sticky mode=query zone=z:$size $state;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream slow {
        sticky mode=query zone=z;
        server 127.0.0.1:8086;
        server 127.0.0.1:8087;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  \$sticky_status  always;

        location / {
            proxy_pass http://u;
        }

        location /slow {
            proxy_pass http://slow;
        }
    }
}

EOC
};

my $dir = $t->testdir();
configure($conf->('128k'));
$t->run_daemon(\&handing_out, port(8080 + $_), (qw/ A B C /)[$_ - 1]) for 1 .. 3;
$t->run_daemon(\&scripted, port(8086), 'A', $dir);
$t->run_daemon(\&scripted, port(8087), 'B', $dir);
$t->run();
$t->waitforsocket('127.0.0.1:' . port($_)) for 8081 .. 8083, 8086, 8087;

# Visitors who begin a session and come back at once, each time on another connection, while the size
# changes again and again; with a file, too.

for my $state ('', 'z.state') {
    my $what = $state ? 'with state=' : 'without state=';
    my $count = "$dir/count$state";
    my @visitors = map { my $n = $_; in_background(sub { return visitors("v$state$n", "$dir/stop$state", $count) }) }
        1 .. 3;
    my $reloads = 0;
    for my $size (qw/ 256k 64k 1m 128k 96k 256k 2m 64k 128k 512k 256k 128k /) {
        my $seen = counted($count);
        my %before = map { $_ => 1 } workers($t);
        configure($conf->($size, $state));
        $t->reload();
        $reloads += !!eventually(sub {
            return counted($count) > $seen + 40 && grep { !$before{$_} } workers($t);
        });
    }
    is($reloads, 12, "$what: reloads with another size");
    $t->write_file("stop$state", '');
    my ($requests, $astray, $failed) = (0, 0, '');
    for (@visitors) {
        my $outcome = outcome($_);
        my ($all, $wrong) = $outcome =~ /^(\d+) (\d+)/ or $failed .= $outcome;
        $requests += $all // 0;
        $astray += $wrong // 0;
        $failed .= " $1" if $outcome =~ /^\d+ \d+ (.+)/;
    }
    cmp_ok($requests, '>', 700, "$what: $requests requests");
    is($astray . $failed, '0', "$what: none of them astray");
}

# Everybody is gone but one: a worker of the first configuration, whose answer is not complete while
# the zone is replaced twice.

settle();
my $first = begin_slow('first');
my @oldest = workers($t);
%{$_} = () for \my %home;
for my $size (qw/ 512k 64k /) {
    %home = (%home, hand_out('/', "around$size", 40));
    my %before = map { $_ => 1 } workers($t);
    configure($conf->($size, 'z.state'));
    $t->reload();
    ok(eventually(sub { 2 <= grep { !$before{$_} } workers($t) }), "$size: new workers");
    stopped_listening(keys %before);
}
my ($old) = grep { kill 0, $_ } @oldest;
ok($old, 'an old worker is left');
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'sessions begun between the reloads hold');
is(status(get('/slow?sid=first')), 'MISS', 'nobody knows an id that was not handed out');
go_on($first, 'first');
is(status(get('/slow?sid=first')), 'HIT', 'what the old worker learns, the new ones know at once');

# Both tables are there, and then only one takes memory.

my $worker = sub { my ($new) = grep { $_ != $old } workers($t); return $new };
cmp_ok(scalar(mappings($worker->())), '>=', 3, 'three tables');
my $freed = () = $t->read_file('error.log') =~ /zone of another size is freed/g;
close $first;
ok(eventually(sub { !kill 0, $old }), 'the old worker has ended');
ok(eventually(sub {
    my $now = () = $t->read_file('error.log') =~ /zone of another size is freed/g;
    return $now > $freed;
}), 'its memory is given back');
is((scalar grep { $_ > 0 } mappings($worker->())), 1, 'one table takes memory');
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'all sessions hold');
is(status(get('/slow?sid=first')), 'HIT', 'that one, too');

# An old worker is killed, and so is the new one that looks after the tables.

my $second = begin_slow('second');
@oldest = workers($t);
my %before = map { $_ => 1 } @oldest;
configure($conf->('256k', 'z.state'));
$t->reload();
ok(eventually(sub { 2 <= grep { !$before{$_} } workers($t) }), 'another reload');
stopped_listening(@oldest);
($old) = grep { kill 0, $_ } @oldest;
go_on($second, 'second');
my @new = grep { !$before{$_} } workers($t);
kill 'KILL', @new;
ok(eventually(sub { 2 <= grep { !$before{$_} && kill 0, $_ } workers($t) }), 'new workers are killed');
is(status(get('/slow?sid=second')), 'HIT', 'those that follow know what the old one has learned');
$freed = () = $t->read_file('error.log') =~ /zone of another size is freed/g;
kill 'KILL', $old;
ok(eventually(sub {
    my $now = () = $t->read_file('error.log') =~ /zone of another size is freed/g;
    return $now > $freed;
}), 'an old worker that is killed is gone, too');
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'all sessions hold');

# A configuration that fails after the zone was made: nothing has happened, and the next one works.

configure($conf->('128k', 'z.state') =~ s/server_name/listen 192.0.2.1:1; server_name/r);
$t->reload();
ok(eventually(sub { $t->read_file('error.log') =~ /\[emerg\].*192\.0\.2\.1/ }), 'a reload that fails');
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'all sessions hold');
configure($conf->('512k', 'z.state'));
@oldest = workers($t);
$t->reload();
ok(eventually(sub { !(grep { kill 0, $_ } @oldest) && workers($t) }), 'and one that does not');
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'all sessions hold after that');

$t->finish();

# Debug messages of the event loop would be most of the work.
sub configure {
    my ($text) = @_;
    $t->write_file_expand('nginx.conf', $text);
    without_debug($t);
}

# A request whose answer hands the id out when it is told to, and then goes on.
sub begin_slow {
    my ($id) = @_;
    my $script = script("Content-Type: text/html\x0d\x0a\x0d\x0a<html>", \"?go$id",
        "<a href='?sid=$id'>", \'*');
    my $client = http("GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        . "X-Script: $script\r\n\r\n", start => 1);
    read_until($client, qr/<html>/);
    return $client;
}

sub go_on {
    my ($client, $id) = @_;
    $t->write_file("go$id", '');
    read_until($client, qr/sid=/);
}

# Waits until two workers are left.
sub settle {
    return eventually(sub { workers($t) == 2 });
}

# The tables that a process has mapped, each with the KB that it takes.
sub mappings {
    my ($pid) = @_;
    open my $maps, '<', "/proc/$pid/smaps" or die "Can't open smaps: $!";
    my ($name, @sizes) = ('');
    while (<$maps>) {
        $name = $1 if /^[0-9a-f]+-[0-9a-f]+ .{4} \S+ \S+ \d+\s*(.*)$/;
        push @sizes, $1 if $name =~ /^\/memfd:nginx-sticky:z\.\d+ / && /^Rss:\s+(\d+) kB/;
    }
    return @sizes;
}
