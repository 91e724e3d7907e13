#!/usr/bin/perl

# A test for a reload while sessions are being moved: the thread that moves them is stopped with its
# worker, which says so and counts what it has done; without it an operator takes half of a move for
# all of it.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Hands;
use Sticky::Nginx;
use Sticky::Pages;
use Sticky::Traffic;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(6);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    access_log off;

    upstream u {
        sticky mode=query zone=z:16m;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;
        keepalive_requests 100000;

        location / {
            proxy_pass http://u;
        }

        location /sticky {
            sticky_status rw;
        }
    }
}

EOC
without_debug($t);

apart($t);
$t->run();

my %home = hand_out('/', 'id', 24_000);
my $at_a = grep { $_ eq 'A' } values %home;
cmp_ok($at_a, '>', 1000, "$at_a sessions at A");

my $done = done(action => 'move', upstream => 'u', server => port_of('A'), to => port_of('B'));
ok(!defined $done->{sessions}, 'a thread moves them');
my %old = map { $_ => 1 } workers($t);
$t->reload();
ok(eventually(sub { !grep { $old{$_} } workers($t) }), 'meanwhile nginx reloads');

my ($moved, $end);
ok(eventually(sub {
    ($moved, $end) = $t->read_file('error.log') =~ /% of the sessions of server.* (\d+) sessions(.*)/;
}), 'the log says how many have moved');
ok($end =~ /not all of them/ || $moved == $at_a, 'and if it is not all of them')
    or diag("$moved of $at_a$end");
is(upstream_of('u')->{moved}{hand}, $moved, 'and so it is counted');
