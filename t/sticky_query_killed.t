#!/usr/bin/perl

# Tests for promise 6, sessions outlive a worker that is killed at any moment; without it a crash of
# one worker logs out all users, or leaves a lock that stops the others.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(6);

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    upstream u {
        sticky mode=query;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        location / {
            proxy_pass http://u;
        }
    }
}

EOC

# nginx writes an alert about each of them.
$t->todo_alerts();
$t->run();

my %home = map { $_ => served_by(get('/', 'X-Page' => link_to($_))) } 1 .. 30;
is(lost(), '', 'all sessions hold');

# Each worker in turn, in the middle of learning and looking up.

for my $round (1 .. 3) {
    my @old = eventually(sub { workers($t) == 2 }) ? workers($t) : ();
    for my $worker (@old) {
        my @open = map {
            http("GET /?sid=$_ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                . 'X-Page: ' . link_to("half$_") . "\r\n\r\n", start => 1)
        } 1 .. 10;
        kill 'KILL', $worker;
        close $_ for @open;
    }
    eventually(sub { !(grep { kill 0, $_ } @old) && workers($t) == 2 });
    is(lost(), '', "all workers killed $round: all sessions hold");
}

my $reply = get('/', 'X-Page' => link_to('new'));
ok(holds($reply, '/?sid=new'), 'new sessions are learned');
my @killed = $t->read_file('error.log') =~ /exited on signal 9/g;
is(scalar @killed, 6, 'six workers have been killed');

sub lost {
    return join ', ', grep { $_ ne '' } map {
        my $reply = get("/?sid=$_");
        status($reply) eq 'HIT' && served_by($reply) eq $home{$_}
            ? '' : "$_: " . status($reply) . ' ' . served_by($reply);
    } sort { $a <=> $b } keys %home;
}
