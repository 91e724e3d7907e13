#!/usr/bin/perl

# Tests for zones whose memory is no file, because nginx may not have one of that size: a reload that
# changes the size loses nothing then, either; without it, sessions depend on a limit that nobody
# connects with them.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;
use Sticky::Traffic;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/);
# Of util-linux, as is unshare. Files of the test stay far below it, the zone does not.
plan(skip_all => 'no prlimit') if system("prlimit --pid $$ --fsize=4194304: >/dev/null 2>&1");
$t->plan(8);

$t->write_file_expand('backends.conf', backends());

my $conf = sub {
    my ($size) = @_;
    return <<"EOC";

%%TEST_GLOBALS%%

daemon off;

worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    # Pieces of a response pass as they come.
    postpone_output 0;
    proxy_buffering off;

    include backends.conf;

    upstream u {
        sticky mode=query zone=z:$size;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
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

$t->write_file_expand('nginx.conf', $conf->('8m'));
without_debug($t);
$t->run_daemon(\&scripted, port(8086), 'A', $t->testdir());
$t->run_daemon(\&scripted, port(8087), 'B', $t->testdir());
$t->run();
$t->waitforsocket('127.0.0.1:' . port($_)) for 8086, 8087;
is(join(' ', map { maps($_) } workers($t)), '', 'no file is mapped');

my %home = hand_out('/', 'id', 100);
my $script = script("Content-Type: text/html\x0d\x0a\x0d\x0a<html>", \'?go', "<a href='?sid=late'>", \'*');
my $client = http("GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    . "X-Script: $script\r\n\r\n", start => 1);
read_until($client, qr/<html>/);
my %before = map { $_ => 1 } workers($t);
$t->write_file_expand('nginx.conf', $conf->('16m'));
without_debug($t);
$t->reload();
ok(eventually(sub { 2 <= grep { !$before{$_} } workers($t) }), 'another size');
stopped_listening(keys %before);
%home = (%home, hand_out('/', 'new', 100));
$t->write_file('go', '');
read_until($client, qr/sid=/);
ok((grep { kill 0, $_ } keys %before), 'an old worker is there');
is(status(get('/slow?sid=late')), 'HIT', 'what it has learned, the new ones know');
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'all sessions hold');
close $client;
ok(eventually(sub { !grep { kill 0, $_ } keys %before }), 'it has ended');
ok(eventually(sub { $t->read_file('error.log') =~ /zone of another size is freed/ }), 'memory is freed');
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'all sessions hold after that');

sub maps {
    my ($pid) = @_;
    open my $maps, '<', "/proc/$pid/maps" or die "Can't open maps: $!";
    # The counters are in a zone of their own, a small one.
    return grep { /nginx-sticky/ && !/nginx-sticky:sticky\/counters/ } <$maps>;
}
