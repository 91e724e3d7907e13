#!/usr/bin/perl

# Tests for nginx's own `sticky learn` with sticky_cluster: the module serves it on every version, as
# nginx would keep the sessions to itself; without the line it is left to an nginx that has it.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(9);

$t->write_file('key', "0123456789abcdef\n");

my $conf = sub {
    my ($cluster) = @_;
    return <<"EOC";

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    $cluster

    upstream u {
        server 127.0.0.1:8081 route=a;
        server 127.0.0.1:8082 route=b;
        sticky learn create=\$upstream_http_x_session lookup=\$arg_s zone=u:1m timeout=1h;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  \$sticky_status  always;

        location / {
            proxy_pass http://u;
        }
    }

    server {
        listen      127.0.0.1:8081;
        listen      127.0.0.1:8082;
        add_header  X-Server   \$server_port  always;
        add_header  X-Session  \$arg_new      always;
        return      200;
    }
}

EOC
};
my $cluster = 'sticky_cluster redis://127.0.0.1:%%PORT_8099%% key_file=key wait=0;';

$t->write_file_expand('nginx.conf', $conf->($cluster));
$t->run();

sub header_of { return header($_[1], get($_[0])) }

my %home = map { $_ => header_of("/?new=id$_", 'X-Server') } 1 .. 4;
is(join(' ', map { header_of("/?s=id$_", 'X-Status') } 1 .. 4), 'HIT HIT HIT HIT', 'served by the module');
is(join(' ', map { header_of("/?s=id$_", 'X-Server') } 1 .. 4), join(' ', @home{1 .. 4}), 'where they were');
ok(reload_with($t, $conf->($cluster)), 'reload');
is(join(' ', map { header_of("/?s=id$_", 'X-Server') } 1 .. 4), join(' ', @home{1 .. 4}), 'and still are');

# An nginx that has the directive itself serves it when the line is not there.

ok(reload_with($t, $conf->('')), 'reload: without the line');
my $nginx_has_it = $t->has_version('1.29.6');
my $new = header_of('/?new=id9', 'X-Server');
is(header_of('/?s=id9', 'X-Status') // '', $nginx_has_it ? '' : 'HIT', 'who serves it');
is(header_of('/?s=id9', 'X-Server'), $new, 'it is served');
ok(reload_with($t, $conf->($cluster)), 'reload: with the line again');
is(header_of("/?s=id1", 'X-Server'), $home{1}, 'sessions of before are there');
