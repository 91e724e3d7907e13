#!/usr/bin/perl

# Tests for proxy_next_upstream_tries and sessions at backup servers; without them a request whose
# servers all fail is sent to more of them than the limit says.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Servers;

my @kinds = (
    [plain => ''],
    [zone => 'zone zone 64k;'],
    [least => 'zone least 64k; least_conn;'],
);
my @limits = (0 .. 5);

my $t = Test::Nginx->new()->has(qw/
    http proxy rewrite upstream_keepalive upstream_least_conn upstream_zone
/);
$t->plan(2 * @kinds * @limits);

# 8081 and 8082 are 0 and 1, the backup server is 2.

my $upstreams = join '', map { <<"EOC" } @kinds;
    upstream $_->[0] {
        $_->[1]
        sticky hash=index;
        server 127.0.0.1:8081 max_fails=0;
        server 127.0.0.1:8082 max_fails=0;
        server 127.0.0.1:8083 max_fails=0 backup;
        keepalive 4;
    }
EOC
my $locations = join '', map { <<"EOC" } @limits;
        location ~ ^/$_/(?<upstream>\\w+)(?<rest>/.*)\$ {
            proxy_pass http://\$upstream\$rest;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_next_upstream_tries $_;
            add_header X-Tried \$upstream_addr always;
        }
EOC

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;
worker_processes 1;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

$upstreams

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

$locations
    }
}

EOC

my @ports = map { port($_) } 8081 .. 8083;
$t->run_daemon(\&server, $_, $_) for @ports;
$t->run();
$t->waitforsocket("127.0.0.1:$_") for @ports;

for my $kind (map { $_->[0] } @kinds) {
    for my $limit (@limits) {

        # The session's server, both others, and the balancer asks the first one again: it does not
        # know of it.

        my $most = $limit && $limit < 4 ? $limit : 4;
        is(scalar(split ' ', tried($limit, $kind)), $most, "$kind, limit $limit: so many are asked");

        # An attempt on a kept connection that the server has closed does not count, as in nginx.

        get("/$limit/$kind/", 'Cookie: route=2');
        is(scalar(split ' ', tried($limit, $kind)), $most + 1,
            "$kind, limit $limit: one more behind a closed connection");
    }
}

# The servers that a request was sent to, none of which answers.
sub tried {
    my ($limit, $kind) = @_;
    my $reply = get("/$limit/$kind/broken", 'Cookie: route=2');
    my %index = map { ("127.0.0.1:$ports[$_]" => $_) } 0 .. 2;
    return join ' ', map { $index{$_} // $_ } split /, /, header('X-Tried', $reply);
}
