#!/usr/bin/perl

# Tests for session ids in XML, of requests and of responses (from=xml, learn=xml); without these,
# the sessions of SOAP and BOSH are lost.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Bodies;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(22);

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    upstream bosh  { sticky mode=query from=xml:sid learn=xml:sid;                  @{[ three_servers() ]} }
    upstream soap  { sticky mode=query name=SessionId from=xml,query learn=xml,html; @{[ three_servers() ]} }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  \$sticky_status  always;

        client_body_buffer_size  4k;
        client_max_body_size     8m;

        location /large/      { client_body_buffer_size 1m;   proxy_pass http://bosh/; }
        location /unbuffered/ { proxy_request_buffering off;  proxy_pass http://bosh/;
                                proxy_http_version 1.1; }
        location ~ ^/(bosh|soap)(/.*)\$ {
            proxy_pass http://\$1\$2;
        }
    }
}

EOC

$t->run();

# An attribute.

my $bind = 'http://jabber.org/protocol/httpbind';
my $home = begin('bosh', "<body xmlns='$bind' wait='60' sid='id&#45;1' ver='1.6'/>");
my $body = "<body rid='7' xmlns='$bind' sid='id-1'>";
is(posts('/bosh/', "$body<presence xmlns='jabber:client'/></body>"), "$home HIT", 'attribute');
is(posts('/bosh/', "<?xml version=\"1.0\"?>\n<x:body x:sid = \"id&#x2d;1\"/>"), "$home HIT",
    'with a prefix, and a reference');
is(posts('/bosh/', $body, 'application/vnd.x+XML; charset=utf-8'), "$home HIT", 'another type');
is(status(send_xml('/bosh/', $body, 'text/plain')), 'NONE', 'but no text');
is(status(send_xml('/bosh/', "<body rid='7'/>")), 'NONE', 'none: no such attribute');
is(status(send_xml('/bosh/', "<body x=\"<y sid='id-1'/>\"/>")), 'NONE', 'in another one');
is(status(send_xml('/bosh/', "<!-- $body -->")), 'NONE', 'in a comment');
is(status(send_xml('/bosh/', "<!DOCTYPE body>$body")), 'NONE', 'behind a document type');
is(status(send_xml('/bosh/', "<body sid='other'/>")), 'MISS', 'an id that nobody knows');
is(status(send_xml('/bosh/', "<body sid='other'><sid>id-1</sid></body>")), 'HIT', 'the live one');

# An element; beside other places, which other media types have.

$home = begin('soap', '<s:Envelope><s:Body><LoginResponse><ns1:SessionId xsi:type="xsd:string">'
    . "\n  <![CDATA[soap 1]]>\n</ns1:SessionId></LoginResponse></s:Body></s:Envelope>");
my $envelope = '<s:Envelope><s:Header><SessionId>soap 1</SessionId></s:Header></s:Envelope>';
is(posts('/soap/', $envelope), "$home HIT", 'element');
is(posts('/soap/', $envelope, 'application/soap+xml; action="x"'), "$home HIT", 'SOAP 1.2');
is(status(send_xml('/soap/', '<SessionId>soap <b>1</b></SessionId>')), 'NONE', 'with others in it');
is(summary(map { get('/soap/?SessionId=soap+1') } 1 .. 4), "$home HIT", 'the query, too');
my $page = served_by(get('/soap/type/utf-8', 'X-Page' => '<a href="/?SessionId=page">'));
is(posts('/soap/', '<SessionId>page</SessionId>'), "$page HIT", 'learned from a page');

# Wherever nginx keeps it, and no more than 64 KB.

my $long = '<x>' . 'y' x 10_000 . '</x>';
is(posts('/large/', "<a>$long<sid>id-1</sid></a>"), posts('/bosh/', $body), 'in memory');
is(posts('/bosh/', "<a>$long<sid>id-1</sid></a>"), posts('/bosh/', $body), 'in a file');
for my $uri ('/large/', '/bosh/') {
    for my $behind (0, 1) {
        my $body = '<a>' . 'x' x (65536 - length('<a><sid>id-1</') + $behind) . '<sid>id-1</sid></a>';
        is(status(send_xml($uri, $body)), $behind ? 'NONE' : 'HIT',
            "$uri: the end of the id is " . ($behind ? 'behind' : 'within') . ' 64 KB');
    }
}
is(posts('/unbuffered/', "<sid>id-1</sid>$long"), posts('/bosh/', $body), 'unbuffered');

# The XML of a first answer; returns its server.
sub begin {
    my ($upstream, $page) = @_;
    return served_by(get("/$upstream/type/xml", 'X-Page' => $page =~ s/\n/ /gr));
}

sub send_xml {
    my ($uri, $body, $type) = @_;
    return post($uri, $body, 'Content-Type' => $type // 'text/xml; charset=utf-8');
}

# The servers and the status of four requests: "A HIT", "ABC NONE".
sub posts {
    my @request = @_;
    return summary(map { send_xml(@request) } 1 .. 4);
}
