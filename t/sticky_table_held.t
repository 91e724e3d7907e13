#!/usr/bin/perl

# Tests for a worker of an early configuration that does not end, while many reloads change the size of
# a zone: it has the first table alone, and the tables in between nobody needs. Without it, after the
# eighth reload the sessions that this worker learns meet the wrong server.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;
use Sticky::Traffic;

use constant RELOADS => 12;

# Tables that are used at once at most.
use constant MOST_TABLES => 8;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(13);

my $conf = sub {
    my ($size) = @_;
    return <<"EOC";

%%TEST_GLOBALS%%

daemon off;

worker_processes 1;

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
configure('128k');
$t->run_daemon(\&handing_out, port(8080 + $_), (qw/ A B C /)[$_ - 1]) for 1 .. 3;
$t->run_daemon(\&scripted, port(8086), 'A', $dir);
$t->run_daemon(\&scripted, port(8087), 'B', $dir);
$t->run();
$t->waitforsocket('127.0.0.1:' . port($_)) for 8081 .. 8083, 8086, 8087;

# Requests that the first worker has before the first reload. Of each, an id comes before another
# reload, and one after it.

my @slow = map { begin_slow("before$_", "after$_") } 1 .. RELOADS;
my ($held) = workers($t);
ok($held, 'a worker with ' . @slow . ' requests');
my (%home, @wrong, @tables);
for my $number (1 .. RELOADS) {
    %home = (%home, hand_out('/', "home$number-", 20));
    go_on($slow[$number - 1], "before$number");
    my $new = resize($number % 2 ? '256k' : '128k');
    go_on($slow[$number - 1], "after$number");
    push @wrong, grep { status(get("/slow?sid=$_")) ne 'HIT' } "before$number", "after$number";
    push @tables, tables($new);
}
ok(kill(0, $held), 'it has not ended');
is(join(' ', @wrong), '', 'what it has learned, the others know, after each of ' . RELOADS . ' reloads');
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'all sessions hold');
is((sort { $b <=> $a } @tables)[0], 3, 'three tables take memory');

# It ends.

close $_ for @slow;
ok(eventually(sub { !kill 0, $held }), 'it has ended');
my ($last) = workers($t);
ok(eventually(sub { tables($last) == 1 }), 'one table takes memory');
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'all sessions hold');
is(scalar(grep { status(get("/slow?sid=$_")) ne 'HIT' } map { ("before$_", "after$_") } 1 .. RELOADS),
    0, 'those, too');

# A worker of each configuration that does not end: the bound, which is said.

my @each;
for my $number (1 .. MOST_TABLES - 1) {
    push @each, begin_slow("learned$number", "late$number");
    resize($number % 2 ? '256k' : '128k');
}
is(too_many(), 0, 'as many tables as can be used');
go_on($each[0], 'learned1');
push @each, begin_slow('learned0', 'late0');
resize('512k');
is(too_many(), 1, 'one more, and a line in the log');
is(status(get('/slow?sid=learned1')), 'HIT', 'what the oldest has learned until then is known');
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'all sessions hold');
close $_ for @each;

$t->finish();

# Debug messages of the event loop would be most of the work.
sub configure {
    my ($size) = @_;
    $t->write_file_expand('nginx.conf', $conf->($size));
    without_debug($t);
}

# Reloads with another size, and returns the new worker when it alone takes connections.
sub resize {
    my ($size) = @_;
    my @before = workers($t);
    my %old = map { $_ => 1 } @before;
    configure($size);
    $t->reload();
    my $new = eventually(sub { return (grep { !$old{$_} } workers($t))[0] });
    stopped_listening(@before);
    return $new;
}

# A request whose answer hands each id out when it is told to.
sub begin_slow {
    my @ids = @_;
    my $script = script("Content-Type: text/html\x0d\x0a\x0d\x0a<html>",
        (map { (\"?go$_", "<a href='?sid=$_'>") } @ids), \'*');
    my $client = http("GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        . "X-Script: $script\r\n\r\n", start => 1);
    read_until($client, qr/<html>/);
    return $client;
}

sub go_on {
    my ($client, $id) = @_;
    $t->write_file("go$id", '');
    read_until($client, qr/sid=$id'/);
}

sub too_many {
    my $count = () = $t->read_file('error.log') =~ /too many configurations with other sizes/g;
    return $count;
}

# How many tables of the zone take memory in a process.
sub tables {
    my ($pid) = @_;
    open my $maps, '<', "/proc/$pid/smaps" or return 0;
    my ($name, $found) = ('', 0);
    while (<$maps>) {
        $name = $1 if /^[0-9a-f]+-[0-9a-f]+ .{4} \S+ \S+ \d+\s*(.*)$/;
        $found++ if $name =~ /^\/memfd:nginx-sticky:z\.\d+ / && /^Rss:\s+(\d+) kB/ && $1 > 0;
    }
    return $found;
}
