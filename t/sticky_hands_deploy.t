#!/usr/bin/perl

# A test for docs/hands.md, "Deployment without downtime": while visitors come and go, each server in
# turn is drained, has no sessions left, is replaced with an empty memory, and is put back. No session
# is lost; without the drain those of the server would be.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Hands;
use Sticky::Pages;
use Sticky::Traffic;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(8);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    access_log off;

    upstream shop {
        sticky mode=query forget=$arg_bye zone=shop:128k;
        server 127.0.0.1:8081 max_fails=0;
        server 127.0.0.1:8082 max_fails=0;
        server 127.0.0.1:8083 max_fails=0;
    }

    server {
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        location / {
            proxy_pass http://shop;
            proxy_next_upstream off;
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

my $dir = $t->testdir();
my $stop = "$dir/over";
my @visitors = map {
    my $name = "visitor$_";
    in_background(sub { come_and_go($name) });
} 1 .. 3;

for my $server (qw/ A B C /) {
    my $place = port_of($server);
    ok(eventually(sub { left($server) > 0 }), "$server has sessions");
    done(action => 'drain', upstream => 'shop', server => $place);
    ok(eventually(sub { left($server) == 0 }), 'drained, it has none some time later');
    # Whoever comes to it while it is replaced is lost.
    $t->write_file("failed_$server", '');
    select undef, undef, undef, 0.5;
    unlink "$dir/failed_$server";
    done(action => 'undrain', upstream => 'shop', server => $place);
}

$t->write_file('over', '');
my ($sessions, $lost, $what) = (0, 0, '');
for (@visitors) {
    my @result = split ' ', outcome($_), 3;
    $sessions += $result[0];
    $lost += $result[1];
    $what ||= $result[2] // '';
}
cmp_ok($sessions, '>', 30, "$sessions sessions meanwhile");
is($lost, 0, 'none lost') or diag($what);

# Sessions of a server, as counted since its drain began, if it is drained.
sub left {
    my ($server) = @_;
    my $known = server_in('shop', $server);
    my $sessions = $known->{sessions} or return -1;
    return -1 if $known->{drain} && $sessions->{counted} <= $known->{drain}{since};
    return $sessions->{in_use} + $sessions->{unused};
}

# Visits of ten pages each, of which the last one ends the session.
sub come_and_go {
    my ($name) = @_;
    my ($sessions, $lost, $what) = (0, 0, '');
    for (my $n = 1; !-e $stop; $n++) {
        my $first = get('/', 'X-Page' => link_to("$name-$n"));
        my $home = served_by($first);
        my $is_lost = code($first) != 200;
        for my $page (2 .. 10) {
            select undef, undef, undef, 0.02;
            my $reply = get("/?sid=$name-$n" . ($page == 10 ? '&bye=1' : ''));
            next if code($reply) == 200 && served_by($reply) eq $home;
            $is_lost = 1;
            $what ||= "$name-$n: $home, then " . served_by($reply) . ' ' . code($reply);
        }
        $sessions++;
        $lost += $is_lost;
    }
    return "$sessions $lost $what";
}
