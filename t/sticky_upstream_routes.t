#!/usr/bin/perl

# Tests for several servers with one route=: each has sessions of its own. Without this, a session goes
# to the first of them, whoever holds it.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;
use Sticky::Traffic;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(10);

$t->write_file_expand('backends.conf', backends());
my $conf = <<'EOC';

%%TEST_GLOBALS%%

daemon off;

worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    error_log %%TESTDIR%%/error.log notice;

    include backends.conf;

    upstream u {
        sticky mode=query zone=u:64k;
        include servers.conf;
    }

    upstream cookie {
        sticky;
        include servers.conf;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        location / {
            proxy_pass http://u;
        }

        location /cookie {
            proxy_pass http://cookie;
        }
    }
}

EOC
servers(8081 => 'a', 8082 => 'a');
$t->write_file_expand('nginx.conf', $conf);
$t->run();

my %home = hand_out('/', 'id', 48);
is(join('', sort { $a cmp $b } keys %{{ reverse %home }}), 'AB', 'two servers with one route');
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'a session goes to its own');

my ($cookies, $right) = (0, 0);
for (1 .. 4) {
    my $reply = get('/cookie');
    my ($cookie) = $reply =~ /^Set-Cookie: ([^;\r]+)/m;
    $right += served_by(get('/cookie', "Cookie: $cookie")) eq served_by($reply) for 1 .. 3;
}
is($right, 12, 'so does a cookie');

# One leaves: its sessions are lost, the other keeps its own, and is the only one with the route now.

my %here = part('A');
my %there = part('B');
servers(8081 => 'a', 8083 => 'c');
reload_with($t, $conf);
is(differing(\%here, { bring_back('/', keys %here) }), 0, 'one leaves, the other keeps its sessions');
my %now = bring_back('/', keys %there);
is(scalar(grep { $_ ne 'GONE' } values %now), 0, 'those of the one that has left are lost');
%home = (%here, my %alone = hand_out('/', 'alone', 48));
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'and it goes on alone');

# Another joins: what the first had learned alone stays its own.

%home = map { $_ => $home{$_} } grep { $home{$_} eq 'A' } keys %home;
servers(8081 => 'a', 8083 => 'c', 8082 => 'a');
reload_with($t, $conf);
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'another joins, it keeps its sessions');
my %new = hand_out('/', 'new', 48);
is(differing(\%new, { bring_back('/', keys %new) }), 0, 'and both get new ones');

# A single server with a route keeps its sessions when its address changes, as ever.

%new = map { $_ => $new{$_} } grep { $new{$_} eq 'C' } keys %new;
servers(8081 => 'a', 8082 => 'c');
reload_with($t, $conf);
my %moved = bring_back('/', keys %new);
is(join(' ', keys %{{ reverse %moved }}), 'B', 'the address of a route changes');
ok(scalar keys %moved, 'there were some');

sub part {
    my ($letter) = @_;
    return map { $_ => $home{$_} } grep { $home{$_} eq $letter } keys %home;
}

sub servers {
    my @all = @_;
    my $lines = '';
    while (my ($port, $route) = splice @all, 0, 2) {
        $lines .= 'server 127.0.0.1:' . port($port) . " route=$route;\n";
    }
    $t->write_file('servers.conf', $lines);
}
