#!/usr/bin/perl

# Tests for a balancer that is not built on nginx's round robin, that of Debian's package
# libnginx-mod-http-upstream-fair: requests are balanced as without the module, and the log says so
# once for each worker and upstream; without this a worker crashes, or each request writes to the
# log.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;

my ($fair) = grep { -e } map { "$_/ngx_http_upstream_fair_module.so" }
    grep { defined } $ENV{TEST_NGINX_MODULES}, '/usr/lib/nginx/modules';
plan(skip_all => 'libnginx-mod-http-upstream-fair is not installed, tools/test-packages does it')
    unless $fair;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /);

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

load_module $fair;

daemon off;
worker_processes 1;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    upstream cookie {
        fair;
        sticky;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream query {
        sticky mode=query;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        fair;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location ~ ^/(\\w+)\$ {
            proxy_pass http://\$1;
            add_header X-Status "[\$sticky_status]" always;
        }
    }

    server {
        listen 127.0.0.1:8081;
        listen 127.0.0.1:8082;

        location / {
            add_header X-Server \$server_port;
            return 200;
        }
    }
}

EOC

$t->try_run('libnginx-mod-http-upstream-fair does not fit this nginx')->plan(6);

for my $upstream (qw/ cookie query /) {
    my %seen;
    for (1 .. 12) {
        my $reply = get("/$upstream", 'Cookie: route=x');
        $seen{ served_by($reply) . ' ' . status($reply) }++;
    }
    is_deeply([sort keys %seen], [sort map { port($_) . ' []' } 8081, 8082],
        "$upstream: balanced, without a status");
    unlike(get("/$upstream"), qr/^Set-Cookie/m, "$upstream: no cookie");
    my @said = $t->read_file('error.log')
        =~ /\[error\].*requests are not steered, unknown balancer, upstream "$upstream"/g;
    is(scalar(@said), 1, "$upstream: the log says so, once");
}
