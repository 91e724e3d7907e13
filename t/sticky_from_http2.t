#!/usr/bin/perl

# Tests for session ids in requests of HTTP/2, where the path is a header and a cookie may come in
# crumbs (RFC 9113, 8.2.3); without these such clients lose their sessions.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;
use Sticky::Peers qw/ needs curl /;

needs('curl with HTTP/2');

my $t = Test::Nginx->new()->has(qw/ http http_v2 proxy rewrite /)->plan(14);

# nginx has said so in a directive of its own since 1.25.1.
my ($listen, $http_2) = $t->has_version('1.25.1') ? ('', 'http2 on;') : (' http2', '');

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    upstream u {
        sticky mode=query name=sid name=(S) from=path,header:X-Session-Id,cookie,form,json
                          learn=html;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    server {
        listen       127.0.0.1:8080$listen;
        server_name  localhost;
        add_header   X-Status  \$sticky_status  always;
        $http_2

        client_body_buffer_size  4k;
        client_max_body_size     8m;

        location / {
            proxy_pass http://u;
        }

        location /in_file {
            client_body_in_file_only clean;
            proxy_pass http://u/;
        }
    }
}

EOC

$t->run();

my $file = $t->testdir() . '/backends.conf';
my $large = $t->testdir() . '/large';
$t->write_file('large', 'x' x 100_000);
my $text = 'x' x 20_000;
my $origin = 'http://127.0.0.1:' . port(8080);

like(asked('/', '--header', 'X-Page: <a href="/a;sid=one"><a href="/(S(two))/">'), qr/NONE$/,
    'an id for each place');
my $home = asked('/;sid=one');
like($home, qr/^[ABC] HIT$/, 'path');
is(asked('/a;v=1;sid=%6fne/b?c'), $home, 'another segment, escaped');
is(asked('/(A(x)S(two))/page.aspx'), $home, 'letter in parentheses');
is(asked('/', '--header', 'X-Session-Id: one'), $home, 'header');
is(asked('/', map { ('--header', "Cookie: $_") } 'a=b', 'sid=one', 'c=d'), $home, 'crumbs');
is(asked('/', map { ('--header', "Cookie: $_") } 'sid=other', 'sid=one'), $home,
    'crumbs with two ids');
is(asked('/', '--form', "file=\@$file", '--form', 'sid=one'), $home, 'multipart form');
is(asked('/', '--form', 'sid=one', '--form', "file=\@$large"), $home, 'before a file of 100 KB');
is(asked('/in_file', '--form', 'sid=one', '--form', "file=\@$large"), $home,
    'in a file that nginx always makes');
is(asked('/', '--data', "sid=one&text=$text"), $home, 'urlencoded, with a long text');
my @json = ('--header', 'Content-Type: application/json', '--data');
is(asked('/', @json, '{"sid":"one"}'), $home, 'JSON');
is(asked('/', @json, "{\"text\":\"$text\",\"sid\":\"one\"}"), $home, 'JSON, in a file');
like(asked('/', '--form', "sid=\@$file"), qr/NONE$/, 'file of that name');

# The server and the status of one request.
sub asked {
    my ($uri, @options) = @_;
    my $reply = curl('--http2-prior-knowledge', '--include', @options, "$origin$uri");
    my ($server) = $reply =~ /^x-server: (\w)/m;
    my ($status) = $reply =~ /^x-status: (\w+)/m;
    return join ' ', $server // 'nobody', $status // 'nothing';
}
