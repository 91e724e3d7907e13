#!/usr/bin/perl

# Tests for one process that reloads with a zone of another size, or without a zone, while it goes on
# with a request of the configuration before (master_process off): nginx unmaps the zone of that
# configuration; without care for that, the process dies.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(8);

my $conf = sub {
    my ($sticky) = @_;
    return <<"EOC";

%%TEST_GLOBALS%%

daemon off;

master_process off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    # Pieces of a response pass as they come.
    postpone_output 0;
    proxy_buffering off;

    upstream slow {
        $sticky
        server 127.0.0.1:8086;
        server 127.0.0.1:8087;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location / {
            proxy_pass http://slow;
        }
    }
}

EOC
};

$t->write_file_expand('nginx.conf', $conf->('sticky mode=query zone=z:512k;'));
$t->run_daemon(\&scripted, port(8086), 'A', $t->testdir());
$t->run_daemon(\&scripted, port(8087), 'B', $t->testdir());
$t->run();
$t->waitforsocket('127.0.0.1:' . port($_)) for 8086, 8087;
my ($pid) = $t->read_file('nginx.pid') =~ /(\d+)/;

my $reloads = 0;
for (
    ['another size', 'sticky mode=query zone=z:1m;'],
    ['the size of before', 'sticky mode=query zone=z:512k;'],
    ['no zone', ''],
    ['a zone again', 'sticky mode=query zone=z:512k;'],
) {
    my ($what, $sticky) = @$_;
    $reloads++;
    my $script = script("Content-Type: text/html\x0d\x0a\x0d\x0a<html>", \"?go$reloads",
        "<a href='?sid=late$reloads'>");
    my $client = http("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        . "X-Script: $script\r\n\r\n", start => 1);
    read_until($client, qr/<html>/);
    $t->write_file_expand('nginx.conf', $conf->($sticky));
    kill 'HUP', $pid;
    eventually(sub {
        my @done = $t->read_file('error.log') =~ /\[notice\].* using the "\w+" event method/g;
        return @done > $reloads;
    });
    $t->write_file("go$reloads", '');
    like(read_until($client, qr/sid=/), qr/sid=late$reloads/, "$what: the answer goes on");
    ok(kill(0, $pid), "$what: nginx is alive");
    close $client;
}
