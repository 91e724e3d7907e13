#!/usr/bin/perl

# Tests for zones: one that several upstreams share keeps them apart, one of its own for each
# upstream, one named like another module's zone, and none; without it, sessions of one
# application lead to servers of another, or two zones of a name are one.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite upstream_zone/)->plan(25);

$t->write_file_expand('backends.conf', backends());

my $conf = <<'EOC';

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    # The second names the zone without its size, the third before the size is known.

    upstream shared3 {
        sticky mode=query zone=all expires=2h;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream shared1 {
        sticky mode=query zone=all:1m expires=1h;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream shared2 {
        sticky mode=query zone=all expires=1s;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    # Zones of their own, the first beside the upstream's `zone` of the same name.

    upstream own1 {
        zone own1 128k;
        sticky mode=query;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream own2 {
        sticky mode=query;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream unsized {
        sticky mode=query zone=unsized;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream off1 {
        sticky mode=query zone=off;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream off2 {
        sticky mode=query zone=off;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        LOCATIONS
    }
}

EOC

my @upstreams = $conf =~ /^    upstream (\w+)/mg;
my $locations = join '', map { "location /$_/ { proxy_pass http://$_/; }\n" } @upstreams;
$conf =~ s/LOCATIONS/$locations/;

$t->write_file_expand('nginx.conf', $conf);
$t->run();

# The same id, at another server in each upstream.

my %home;
for my $name (@upstreams) {
    is(status(get("/$name/?sid=same")), 'MISS', "$name: id unknown, though others know it");
    # Which of the servers is left to chance, but not that the second upstream has another.
    my $last = $name =~ /2$/ ? $home{ $name =~ s/2$/1/r } : '';
    for (1 .. 3) {
        get("/$name/");
        my $reply = get("/$name/");
        last if served_by($reply) ne $last;
    }
    $home{$name} = served_by(get("/$name/", 'X-Page' => link_to('same')));
}

for my $name (@upstreams) {
    next if $name eq 'shared2';
    is(where("/$name/?sid=same"), $home{$name} x 6, "$name: its own session");
}

# Each upstream's own limits hold in the zone that they share.

select undef, undef, undef, 2.1;
is(status(get('/shared2/?sid=same')), 'EXPIRED', 'shared zone: the one with expires=1s');
is(status(get('/shared1/?sid=same')), 'HIT', 'shared zone: the one with expires=1h');
is(status(get('/shared3/?sid=same')), 'HIT', 'shared zone: the one with expires=2h');

# All of it is there after a reload, but for zone=off.

ok(reload_with($t, $conf), 'reload');
is(join(' ', map { "$_ " . status(get("/$_/?sid=same")) } @upstreams),
    'shared3 HIT shared1 HIT shared2 EXPIRED own1 HIT own2 HIT unsized HIT off1 MISS off2 MISS',
    'zones are kept');
is(where('/own1/?sid=same'), $home{own1} x 6, 'zone of the upstream\'s name kept');

# An upstream takes up the zone of another.

ok(reload_with($t, $conf =~ s/zone=unsized/zone=all/r), 'another upstream joins the zone');
is(status(get('/unsized/?sid=same')), 'MISS', 'and finds nothing of the others');
is(where('/shared1/?sid=same'), $home{shared1} x 6, 'who have lost nothing');
ok(reload_with($t, $conf =~ s/zone=off/zone=all/r), 'one leaves zone=off');
