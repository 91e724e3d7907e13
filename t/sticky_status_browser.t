#!/usr/bin/perl

# Tests for the status page in a browser: its looks, what the keyboard alone does, what the script
# leaves alone, and that all of it works without a script. Without them the page could be right in
# every byte, and no operator could drain a server with it.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Browser qw/ missing in_browser /;
use Sticky::Hands;
use Sticky::Pages;

my $missing = missing('playwright-core', 'axe-core');
plan(skip_all => "no $missing, see tools/test-browser") if $missing;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(48);

$t->write_file_expand('backends.conf', backends());
my $upstreams = upstreams(
    shop   => 'sticky mode=query name=sid zone=shop:128k;',
    # A name that is longer than a narrow screen.
    'x' x 90 => 'sticky;',
);
$t->write_file_expand('nginx.conf', <<'EOC' =~ s/UPSTREAMS/$upstreams/r);

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

UPSTREAMS

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        location / {
            proxy_pass http://shop;
        }

        location /sticky {
            sticky_status rw;
        }
    }
}

EOC

$t->run();

in_browser('status.js', 'http://127.0.0.1:' . port(8080), map { port_of($_) } qw/ A B C /);
