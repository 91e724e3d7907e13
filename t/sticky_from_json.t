#!/usr/bin/perl

# Tests for session ids in JSON bodies of requests (from=json), and for the members of JSON that are
# handed out in the same way; without these, agents, tools and JSON-RPC clients lose their sessions.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Bodies;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(43);

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    # MCP without session header, OpenAI Responses, ubus, Faye, and what else there is.
    upstream named    { sticky mode=query from=json learn=json;
                        @{[ three_servers() ]} }
    upstream outer    { sticky mode=query from=json:previous_response_id learn=json:.id;
                        @{[ three_servers() ]} }
    upstream ubus     { sticky mode=query from=json:params.0 learn=json:result.1.ubus_rpc_session;
                        @{[ three_servers() ]} }
    upstream faye     { sticky mode=query from=json:clientId learn=json:.clientId;
                        @{[ three_servers() ]} }
    upstream string   { sticky mode=query from=header:X-Session learn=json:.;
                        @{[ three_servers() ]} }
    upstream mixed    { sticky mode=query name=x from=query,json:a.b,json:.x,form learn=json:x;
                        @{[ three_servers() ]} }
    upstream strict   { sticky mode=query from=json learn=json no_fallback;
                        @{[ three_servers() ]} }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  \$sticky_status  always;

        client_body_buffer_size  4k;
        client_max_body_size     8m;

        location /large/      { client_body_buffer_size 1m;      proxy_pass http://named/; }
        location /in_file/    { client_body_in_file_only clean;  proxy_pass http://named/; }
        location /unbuffered/ { proxy_request_buffering off;     proxy_pass http://named/;
                                proxy_http_version 1.1; }
        location ~ ^/(named|outer|ubus|faye|string|mixed|strict)(/.*)\$ {
            proxy_pass http://\$1\$2;
        }
    }
}

EOC

$t->run();

my $json = 'application/json';

# By the name of name=, wherever it stands.

my $home = begin('named', '{"result":{"sid":"one id/1"}}');
is(posts('/named/', '{"sid":"one id/1"}'), "$home HIT", 'the member');
is(posts('/named/', '{"a":[{"b":{"x":1,"sid" : "one\u0020id\/1"}}]}'), "$home HIT",
    'deep in it, with escapes');
is(posts('/named/', '[{"sid":"other"},{"sid":"one id/1"}]'), "$home HIT", 'the live one of two');
is(posts('/named/', '{"sid":"one id/1"}', 'application/vnd.api+JSON; charset=utf-8'), "$home HIT",
    'another type of JSON');
is(posts('/named/', '{"sid":"one id/1"', $json), "$home HIT", 'a body that is not complete');

for (
    ['{"sid":"one id/1"}', 'text/plain', 'another type'],
    ['sid=one+id/1', $json, 'a form that says it is JSON'],
    ['{"sid":["one id/1"],"SID":"one id/1"}', $json, 'no member of that name'],
    ['"{\"sid\":\"one id/1\"}"', $json, 'a member in a string'],
    ['{"sid":"one id/1', $json, 'an id that is cut'],
    ['', $json, 'no body'],
) {
    my ($body, $type, $what) = @$_;
    is(status(send_json('/named/', $body, $type)), 'NONE', "none: $what");
}
is(status(send_json('/named/', '{"sid":"unknown"}')), 'MISS', 'an id that nobody knows');
is(status(get('/named/?sid=one+id/1')), 'NONE', 'not in the query');
is(status(send_json('/strict/', '{"sid":"unknown"}')), 'MISS', 'nobody is refused');

# The outermost member alone is handed out, and comes back under another name.

$home = begin('outer', '{"output":[{"id":"msg_1"}],"id":"resp_1"}');
is(posts('/outer/', '{"input":"x","previous_response_id":"resp_1"}'), "$home HIT", 'response id');
is(status(send_json('/outer/', '{"previous_response_id":"msg_1"}')), 'MISS', 'not one within');
is(status(send_json('/outer/', '{"previous_response_id":null}')), 'NONE', 'the first request');

# Places in an array, and batches.

$home = begin('ubus', '{"jsonrpc":"2.0","id":1,"result":[0,{"ubus_rpc_session":"c1ed6c"}]}');
my $call = '{"jsonrpc":"2.0","method":"call","params":["c1ed6c","x","y",{"params":["no"]}]}';
is(posts('/ubus/', $call), "$home HIT", 'the place in an array');
is(posts('/ubus/', "[{\"params\":[{}]},$call]"), "$home HIT", 'in a batch');
is(posts('/ubus/', '{"params":{"0":"c1ed6c"}}'), "$home HIT", 'or a member of that name');
is(status(send_json('/ubus/', '{"params":["x","c1ed6c"]}')), 'MISS', 'no other place');
is(status(send_json('/ubus/', '[' . '{},' x 16 . "$call]")), 'NONE', 'not behind 16 elements');

$home = begin('faye', '[{"channel":"/meta/handshake","clientId":"abc","ext":{"clientId":"no"}}]');
is(posts('/faye/', '[{"channel":"/meta/connect","clientId":"abc"}]'), "$home HIT", 'an array');
is(status(send_json('/faye/', '{"clientId":"no"}')), 'MISS', 'only its outermost member');

# A body that is one string.

$home = begin('string', "\"b0d4-1\"");
is(where_is('/string/', 'X-Session' => 'b0d4-1'), "$home HIT", 'a body that is one string');

# In the order of from=.

my $of_x = begin('mixed', '{"x":"one"}');
my $of_y = begin('mixed', '{"x":"two"}');
my $of_z = begin('mixed', '{"x":"three"}');
is(posts('/mixed/?x=one', '{"x":"two","a":{"b":"three"}}'), "$of_x HIT", 'the query first');
is(posts('/mixed/', '{"x":"two","a":{"b":"three"}}'), "$of_z HIT", 'then the path');
is(posts('/mixed/', '{"x":"two","a":{"x":"three"}}'), "$of_y HIT", 'then the outermost one');
is(posts('/mixed/', 'x=two', 'application/x-www-form-urlencoded'), "$of_y HIT", 'then a form');

# Wherever nginx keeps it, and no more than 64 KB.

my ($id, $more) = ('"sid":"kept"', '"text":"' . 'x"}{\\\\' x 200 . '"');
$home = begin('named', "{$id}");
my $text = join ',', ($more) x 15;
is(posts('/large/', "{$text,$id}"), "$home HIT", 'in memory');
is(posts('/named/', "{$text,$id}"), "$home HIT", 'in a file');
is(posts('/named/', "{$id,$text}"), "$home HIT", 'in front of it');
is(posts('/in_file/', "{$id}"), "$home HIT", 'in one that nginx always makes');
for my $uri ('/large/', '/named/') {
    for my $behind (0, 1) {
        my $body = '{"text":"' . 'x' x (65536 - length('{"text":"",') - length($id) + $behind)
            . "\",$id";
        is(posts($uri, "$body,\"x\":1}"), $behind ? 'ABC NONE' : "$home HIT",
            "$uri: the end of the id is " . ($behind ? 'behind' : 'within') . ' 64 KB');
    }
}
is(summary(map { chunked('/large/', $json, 30, "{$more,$id}") } 1 .. 4), "$home HIT", 'chunks');
is(summary(map { chunked('/named/', $json, 3000, "{$text,$id}") } 1 .. 4), "$home HIT", 'in a file');
is(summary(map { piecewise('/large/', $json, "{$more,$id}", 20, 3, 2) } 1 .. 4), "$home HIT", 'pieces');
is(posts('/unbuffered/', "{$id,$text}"), "$home HIT", 'unbuffered: what has come');
is(status(first_piece('/unbuffered/', $json, "{$id}", 10)), 'NONE', 'unbuffered: what is cut');
like(summary(map { first_piece('/unbuffered/', $json, "{$id}", length $id) } 1 .. 4), qr/NONE$/,
    'unbuffered: without its end');

# The JSON of a first answer; returns its server.
sub begin {
    my ($upstream, $page) = @_;
    return served_by(get("/$upstream/type/json", 'X-Page' => $page));
}

sub send_json {
    my ($uri, $body, $type) = @_;
    return post($uri, $body, 'Content-Type' => $type // $json);
}

# The servers and the status of four requests: "A HIT", "ABC NONE".
sub posts {
    my @request = @_;
    return summary(map { send_json(@request) } 1 .. 4);
}

sub where_is {
    my @request = @_;
    return summary(map { get(@request) } 1 .. 4);
}
