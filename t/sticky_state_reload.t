#!/usr/bin/perl

# Tests for state=FILE over reloads: what old workers learn after the size of the zone has changed
# reaches the new zone through the file, state= may come and go, and zones with and without it stand
# side by side; without it, the ids of a long response that ends after a reload are lost.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;
use Sticky::State;
use Sticky::Traffic;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(18);

$t->write_file_expand('backends.conf', backends());

my $conf = sub {
    my (%change) = (zone => 'zone=z:128k', state => 'state=z.state', workers => 2, @_);
    return <<"EOC";

%%TEST_GLOBALS%%

daemon off;

worker_processes $change{workers};

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    error_log %%TESTDIR%%/error.log notice;

    postpone_output 0;
    proxy_buffering off;

    include backends.conf;

    upstream u {
        sticky mode=query $change{zone} $change{state};
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

my $file = $t->testdir() . '/z.state';
$t->write_file_expand('nginx.conf', $conf->());
$t->run_daemon(\&scripted, port(8086), 'A', $t->testdir());
$t->run_daemon(\&scripted, port(8087), 'B', $t->testdir());
$t->run();
$t->waitforsocket('127.0.0.1:' . port($_)) for 8086, 8087;

my %home = hand_out('/', 'id', 200);
is(lost(), 0, 'all sessions hold');

# Learned by an old worker that goes on for long, into a zone that the new ones do not have.

for (['larger', 'zone=z:512k'], ['smaller', 'zone=z:64k']) {
    my ($what, $zone) = @$_;
    my $script = script("Content-Type: text/html\x0d\x0a\x0d\x0a<html>", \"?go$what",
        "<a href='?sid=late$what'>", \'*');
    my @clients = map { start_slow($script) } 1 .. 4;
    read_until($_, qr/<html>/) for @clients;
    my %before = map { $_ => 1 } workers($t);
    $t->write_file_expand('nginx.conf', $conf->(zone => $zone));
    $t->reload();
    ok(eventually(sub { 2 <= grep { !$before{$_} } workers($t) }), "$what: new workers");
    stopped_listening(keys %before);
    $t->write_file("go$what", '');
    read_until($_, qr/sid=/) for @clients;
    ok(eventually(sub { status(get("/slow?sid=late$what")) eq 'HIT' }), "$what: they know the id");
    ok((grep { kill 0, $_ } keys %before), "$what: from an old one that is still there");
    is(lost(), 0, "$what: all sessions hold");
    close $_ for @clients;
    ok(eventually(sub { !grep { kill 0, $_ } keys %before }), "$what: gone");
}

# The parameter goes and comes back, with the same table.

ok(reload_with($t, $conf->(zone => 'zone=z:64k', state => '')), 'without state=');
%home = (%home, hand_out('/', 'more', 50));
ok(changed($file, sub { reload_with($t, $conf->(zone => 'zone=z:64k')) }), 'with state= again');
ok(restarted($t, 'TERM'), 'restart');
is(lost(), 0, 'all sessions hold');

# Without a master.

ended($t, 'TERM');
$t->write_file_expand('nginx.conf', 'master_process off;' . $conf->(zone => 'zone=z:64k'));
$t->run();
is(lost(), 0, 'one process: all sessions hold');
%home = (%home, hand_out('/', 'single', 50));
ended($t, 'QUIT');
$t->write_file_expand('nginx.conf', $conf->(zone => 'zone=z:64k'));
$t->run();
is(lost(), 0, 'with a master again');
my @odd = grep { !/ is read, \d+ sessions/ } log_lines($t);
is(join("\n", @odd), '', 'nothing to complain about');

sub start_slow {
    my ($script) = @_;
    return http("GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        . "X-Script: $script\r\n\r\n", start => 1);
}

sub lost { return differing(\%home, { bring_back('/', keys %home) }) }
