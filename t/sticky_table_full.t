#!/usr/bin/perl

# Tests for a zone that is full of sessions in use, on a site with more of them than fit: visitors who
# come now keep their server, and whoever was away for longest makes room; without it, newcomers
# displace only each other, and hardly anybody who comes to a busy site keeps his session.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;
use Sticky::Traffic;

use Time::HiRes qw/ sleep time /;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(10);

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    access_log off;
    keepalive_requests 100000;

    include backends.conf;

    # The default size.
    upstream default {
        sticky mode=query zone=default:1m;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream small {
        sticky mode=query zone=small:32k;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        location /default/ {
            proxy_pass http://default/;
        }

        location /small/ {
            proxy_pass http://small/;
        }
    }
}

EOC

without_debug($t);
$t->run();

# More sessions than fit, each of which came back once, at once. Time is counted in seconds: each
# part of them comes later than the one before.
my %sites = (
    default => { sessions => 75_200, visitors => 600, a_second => 60 },
    small   => { sessions => 2_000, visitors => 300, a_second => 30 },
);
for my $part (1 .. 8) {
    for my $name (sort keys %sites) {
        my $site = $sites{$name};
        my %home = hand_out("/$name/", "$part-", $site->{sessions} / 8);
        $site->{returned} += keys(%home) - differing(\%home, { bring_back("/$name/", keys %home) });
        $site->{home}{$_} = $home{$_} for keys %home;
    }
    sleep 1.1;
}
for my $name (sort keys %sites) {
    my $site = $sites{$name};
    cmp_ok($site->{returned}, '>=', 0.95 * $site->{sessions}, "$name: sessions that returned once");
}

# Then visitors, each of whom clicks after two to six seconds. Whatever the load of the machine, they
# come and click in this order.
my @due;
for my $name (sort keys %sites) {
    for my $visitor (1 .. $sites{$name}{visitors}) {
        my $comes = $visitor / $sites{$name}{a_second};
        my $pause = 2 + $visitor * 7 % 41 / 10;
        push @due, map { [$comes + $_ * $pause, $name, "v$visitor", $_] } 0, 1;
    }
}
my $begin = time();
for my $event (sort { $a->[0] <=> $b->[0] || $a->[3] <=> $b->[3] } @due) {
    my ($at, $name, $visitor, $clicks) = @$event;
    my $wait = $begin + $at - time();
    sleep $wait if $wait > 0;
    my $site = $sites{$name};
    if (!$clicks) {
        my %home = hand_out("/$name/", $visitor, 1);
        ($site->{visitor}{$visitor}) = values %home;
        next;
    }
    my ($found) = values %{ { bring_back("/$name/", "${visitor}1") } };
    $site->{clicks}++;
    $site->{astray}++ if $found ne $site->{visitor}{$visitor};
}

for my $name (sort keys %sites) {
    my $site = $sites{$name};
    my $most = $name eq 'default' ? 0 : 0.01 * $site->{visitors};
    is($site->{clicks}, $site->{visitors}, "$name: each visitor has clicked");
    my $astray = $site->{astray} // 0;
    cmp_ok($astray, '<=', $most, "$name: of the clicks of $site->{visitors} visitors $astray went astray");
}

# As many have gone as came since and as did not fit in the first place. Each was the one used longest
# ago of 40 places, so nearly all are of those who came first, if there are so many.
my $small = $sites{small};
my %now = bring_back('/small/', keys %{ $small->{home} });
my %gone;
for my $id (grep { $small->{home}{$_} ne $now{$_} } keys %now) {
    my ($part) = $id =~ /^(\d)/;
    $gone{$_}++ for 'all', $part < 3 ? 'first' : $part == 8 ? 'last' : ();
}
my $quarter = $small->{sessions} / 4;
my ($all, $first, $last) = map { $_ // 0 } @gone{qw/ all first last /};
cmp_ok($last, '<=', 0.02 * $small->{sessions} / 8, "whoever came last is there, but for $last");
cmp_ok($first, '>=', 0.85 * ($all < $quarter ? $all : $quarter),
    "whoever came first has made room: $first of $all");

for my $name (sort keys %sites) {
    my @lines = $t->read_file('error.log')
        =~ /the session table is full, for each new session .* zone "$name"/g;
    cmp_ok(scalar @lines, '>=', 1, "$name: the log tells that the zone is full");
}
