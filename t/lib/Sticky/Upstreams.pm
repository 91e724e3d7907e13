package Sticky::Upstreams;

# The configuration of a test that has some upstreams with the same servers, and a location for each, so
# that a test which changes it over a reload says only what changes.
#
#     configure($t, { shop => 'sticky mode=discover;' }, servers => 2);
#     $t->run();
#     get('/shop/');

use strict;
use warnings;

use Exporter qw/ import /;

our @EXPORT_OK = qw/ configure /;

# `lines` has the sticky line of each upstream, by its name, which is that of its location, too. Options:
# how many `servers` there are, from port 8081 on (3); what follows proxy_pass's address, a `uri` (/, which
# takes the name away; nothing leaves it); `of_http` and `of_server`, further directives there.
sub configure {
    my ($t, $lines, %options) = @_;
    my ($of_http, $of_server) = map { $_ // '' } @options{qw/ of_http of_server /};
    my $uri = $options{uri} // '/';
    my $servers = join "\n", map { 'server 127.0.0.1:' . (8080 + $_) . ';' } 1 .. $options{servers} // 3;
    my @names = sort keys %$lines;
    my $upstreams = join "\n", map { "upstream $_ {\n$lines->{$_}\n$servers\n}" } @names;
    my $locations = join "\n", map { "location /$_/ { proxy_pass http://$_$uri; }" } @names;
    $t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    $of_http
    $upstreams

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        $of_server
        $locations
        location /status { sticky_status; }
    }
}

EOC
    return;
}

1;
