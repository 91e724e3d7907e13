#!/usr/bin/perl

# Tests for a balancer that is not built on nginx's round robin, that of Debian's package
# libnginx-mod-http-upstream-fair: nginx -t refuses it. One of an unknown name balances as without
# the module, and the log says so once for each worker and upstream; without this a worker crashes,
# each request writes to the log, or sessions are lost without a word.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Configuration qw/ prepare verdict_on_upstream /;

my ($fair) = grep { -e } map { "$_/ngx_http_upstream_fair_module.so" }
    grep { defined } $ENV{TEST_NGINX_MODULES}, '/usr/lib/nginx/modules';
plan(skip_all => 'libnginx-mod-http-upstream-fair is not installed, tools/test-packages does it')
    unless $fair;

# The same module under another name, which is in its data, and not in its table of symbols.
my $name = 'ngx_http_upstream_fair_module';
my $bytes = do { local (@ARGV, $/) = $fair; <> };
my $at = rindex $bytes, "\0$name\0";
plan(skip_all => "no $name in $fair") if $at <= index $bytes, "\0$name\0";
substr($bytes, $at + 1, length $name) = 'ngx_http_upstream_fare_module';

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite upstream_least_conn /);
my $dir = $t->testdir();
$t->write_file('fare.so', $bytes);

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

load_module $dir/fare.so;

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

$t->try_run('libnginx-mod-http-upstream-fair does not fit this nginx')->plan(6 + 7);

my $instead = 'round robin (no directive), "least_conn", "random", "hash" or "ip_hash"';

for my $upstream (qw/ cookie query /) {
    my %seen;
    for (1 .. 12) {
        my $reply = get("/$upstream", 'Cookie: route=x');
        $seen{ served_by($reply) . ' ' . status($reply) }++;
    }
    is_deeply([sort keys %seen], [sort map { port($_) . ' []' } 8081, 8082],
        "$upstream: balanced, without a status");
    unlike(get("/$upstream"), qr/^Set-Cookie/m, "$upstream: no cookie");
    my @said = $t->read_file('error.log') =~ /\[error\].*requests\ are\ not\ steered,\ the\ balancer
        \ is\ not\ built\ on\ round\ robin\ of\ nginx,\ use\ \Q$instead\E,\ upstream\ "$upstream"/gx;
    is(scalar(@said), 1, "$upstream: the log says so, once");
}

$t->stop();

# Its own name.

prepare($t);
$t->write_file('nginx.conf', "load_module $fair;\n" . $t->read_file('nginx.conf'));

my $refused = qq{nginx: [emerg] "fair" cannot be combined with "sticky" in upstream "u": it is not}
    . " built on round robin of nginx, expected $instead in case.conf:";

is(verdict_on_upstream($t, 'fair;', 'sticky;'), "${refused}2\n", 'fair, sticky');
is(verdict_on_upstream($t, 'sticky mode=query;', 'fair;'), "${refused}3\n", 'sticky, fair');
is(verdict_on_upstream($t, 'sticky mode=rewrite;', 'fair;', 'keepalive 1;'), "${refused}3\n",
    'below keepalive');
is(verdict_on_upstream($t, 'fair;'), '', 'without sticky');
is(verdict_on_upstream($t, 'fair weight_mode=idle no_rr;'), '', 'with parameters');
like(verdict_on_upstream($t, 'fair nonsense;'), qr/^nginx: \[emerg\] /, 'its own refusals');
$t->write_file('nginx.conf', $t->read_file('nginx.conf') =~ s/load_module \Q$fair\E;//r);
is(verdict_on_upstream($t, 'fair;'),
    qq{nginx: [emerg] unknown directive "fair" in case.conf:2\n}, 'not loaded');
