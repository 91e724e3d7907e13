#!/usr/bin/perl

# Tests for mode=query with other balancers than round robin, with keepalive, and with four workers;
# without them a session holds in the simplest configuration only.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite upstream_keepalive upstream_least_conn/)
    ->has(qw/upstream_hash upstream_ip_hash upstream_random upstream_zone/)->plan(36);

$t->write_file_expand('backends.conf', backends());

my $servers = join '', map { "server 127.0.0.1:$_;\n" } 8081 .. 8083;
my %upstreams = (
    round_robin      => "sticky mode=query; $servers",
    servers_first    => "$servers sticky mode=query;",
    least_conn       => "least_conn; sticky mode=query; $servers",
    random           => "random; sticky mode=query; $servers",
    hash             => "hash \$arg_n; sticky mode=query; $servers",
    consistent       => "hash \$arg_n consistent; sticky mode=query; $servers",
    ip_hash          => "ip_hash; sticky mode=query; $servers",
    keepalive        => "sticky mode=query; $servers keepalive 4;",
    keepalive_least  => "least_conn; sticky mode=query; keepalive 4; $servers",
    keepalive_first  => "keepalive 4; sticky mode=query; $servers",
    zone             => "zone own 256k; sticky mode=query; $servers",
    weights          => "sticky mode=query; server 127.0.0.1:8081 weight=5;"
        . ' server 127.0.0.1:8082; server 127.0.0.1:8083;',
);

my $blocks = join '', map { "upstream $_ { $upstreams{$_} }\n" } sort keys %upstreams;
my $locations = join '', map { "location /$_/ { proxy_pass http://$_/; }\n" } sort keys %upstreams;

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;

worker_processes 4;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    $blocks

    server {
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;
        add_header   X-Status  \$sticky_status  always;
        add_header   X-Pid     \$pid            always;

        proxy_http_version 1.1;
        proxy_set_header Connection "";

        $locations
    }
}

EOC

$t->run();

for my $name (sort keys %upstreams) {
    my (%wrong, %used, %pids);

    for my $n (1 .. 12) {
        my $reply = get("/$name/?n=$n", 'X-Page' => link_to("$name$n"));
        my $home = served_by($reply);
        $used{$home} = 1;
        for (1 .. 4) {
            $reply = get("/$name/?n=$_&sid=$name$n");
            $pids{$1} = 1 if $reply =~ /^X-Pid: (\d+)/m;
            my $result = status($reply) . (served_by($reply) eq $home ? '' : ' elsewhere');
            $wrong{$result} = 1 if $result ne 'HIT';
        }
    }

    is(join(', ', sort keys %wrong), '', "$name: twelve sessions hold");

    # ip_hash knows but one client here; what is left to chance is asked for more often.
    my $spread = eventually(sub {
        my $reply = get("/$name/?n=" . rand);
        $used{ served_by($reply) } = 1;
        return $name eq 'ip_hash' || keys %used == 3;
    });
    ok($spread, "$name: requests without a session are balanced");
    cmp_ok(scalar keys %pids, '>', 1, "$name: several workers had a part in it");
}
