#!/usr/bin/perl

# Tests for the bodies that `learn=` reads besides HTML: JSON, event streams, text; without them the
# sessions of applications that hand their ids out there are not kept together.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy/)->plan(49);

my @learn = ('json', 'json:a.sid', 'json:connectionToken', 'sse', 'text', 'html,json,sse,text',
    'forms,text', 'json:a.b,sse');
my $name = sub { $_[0] =~ tr/,:./___/r };
my $upstreams = join '', map { my $name = $name->($_); <<"EOC" } @learn;
    upstream $name {
        sticky mode=query learn=$_;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }
EOC
my $locations = join '', map { my $name = $name->($_); <<"EOC" } @learn;
        location /$name/ {
            proxy_pass http://$name/;
        }
EOC

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

$upstreams

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  \$sticky_status  always;

$locations
    }
}

EOC

$t->run_daemon(\&scripted, port(8081), 'A', $t->testdir());
$t->run_daemon(\&scripted, port(8082), 'B', $t->testdir());
$t->waitforsocket('127.0.0.1:' . port($_)) for 8081, 8082;
$t->run();

# Media types: which learners read the same body, with an id in JSON, in a URL, and in an input.

my $everything = '{"sid":"%1$s_json"} <a href="http://localhost/?sid=%1$s_url"></a> '
    . '<input name=sid value="%1$s_input"> <script type="application/json">'
    . '{"sid":"%1$s_script"}</script> <form action="/?sid=%1$s_form">';

for (
    ['json',       'application/json',                  'json script'],
    ['json',       'application/json; charset=utf-8',   'json script'],
    ['json',       'Application/JSON',                  'json script'],
    ['json',       'application/problem+json',          'json script'],
    ['json',       'application/x-ndjson',              'json script'],
    ['json',       'text/json',                         'json script'],
    ['json',       'text/plain;charset=UTF-8',          'json script'],
    ['json',       'text/html',                         'script'],
    ['json',       'application/jsonp',                 ''],
    ['json',       'text/css',                          ''],
    ['json',       'application/javascript',            ''],
    ['json',       'text/event-stream',                 ''],
    ['sse',        'text/event-stream',                 ''],
    ['sse',        'text/html',                         ''],
    ['sse',        'application/json',                  ''],
    ['text',       'text/plain',                        'url form'],
    ['text',       'text/css',                          'url form'],
    ['text',       'text/xml; charset=utf-8',           'url form'],
    ['text',       'application/xml',                   'url form'],
    ['text',       'application/rss+xml',               'url form'],
    ['text',       'image/svg+xml',                     'url form'],
    ['text',       'application/javascript',            'url form'],
    ['text',       'application/json',                  'url form'],
    ['text',       'text/html',                         'url form'],
    ['text',       'text/event-stream',                 'url form'],
    ['text',       'application/pdf',                   ''],
    ['text',       'image/png',                         ''],
    ['html,json,sse,text', 'text/html',                 'url input script form'],
    ['html,json,sse,text', 'text/plain',                'json url script form'],
    ['html,json,sse,text', 'application/json',          'json url script form'],
    ['html,json,sse,text', 'text/event-stream',         ''],
    ['forms,text', 'text/html',                         'input form'],
    ['forms,text', 'text/plain',                        'url form'],
) {
    my ($learn, $type, $expected) = @$_;
    my $known = learned($learn, $type, $everything, qw/ json url input script form /);
    is($known, $expected, "learn=$learn, $type");
}

# What applications send.

is(learned('json', 'text/plain', '0{"sid":"%s_eio","upgrades":["websocket"],"pingInterval":25000}',
    'eio'), 'eio', 'the first packet of Engine.IO');
is(learned('json', 'text/plain', '97:0{"sid":"%s_eio3","upgrades":[]}2:40', 'eio3'), 'eio3',
    'and of its third version');
is(learned('json', 'application/json', '{"s\u0069d" : "%s_\u0061\/b"}', 'a/b'), 'a/b', 'escapes');
get('/json/', 'X-Script' => script("Content-Type: application/json\r\n\r\n", '{"sid":4711}'));
is(status(get('/json/?sid=4711', 'X-Script' => script("\r\n"))), 'HIT', 'a number');
is(learned('json', 'application/json', '{"a":"{\"sid\":\"%s_quoted\"}"}', 'quoted'), '',
    'no member, but a text with one');
is(learned('json:connectionToken', 'application/json',
    '{"negotiateVersion":1,"connectionId":"%1$s_id","connectionToken":"%1$s_token"}', 'id', 'token'),
    'token', 'a member of another name');
is(learned('json:a.sid', 'application/json',
    '{"sid":"%1$s_1","b":{"sid":"%1$s_2"},"a":[{"x":{"sid":"%1$s_3"},"sid":"%1$s_4"}]}', 1 .. 4), '4',
    'a path');
is(learned('json:a.sid', 'text/html',
    '<script type="application/ld+json">{"a":{"sid":"%1$s_1"}}</script>{"a":{"sid":"%1$s_2"}}', 1, 2),
    '1', 'a path in a script of a page');
is(learned('sse', 'text/event-stream', "event: endpoint\r\ndata: /messages/?sid=%s_mcp\r\n\r\n",
    'mcp'), 'mcp', 'the first event of MCP');
is(learned('sse', 'text/event-stream',
    ": /?sid=%1\$s_1\nid: /?sid=%1\$s_2\ndata: {\"sid\":\ndata: \"%1\$s_3\"}\n\n", 1 .. 3), '3',
    'JSON in the data of an event');
is(learned('json:a.b,sse', 'text/event-stream',
    "data: {\"b\":\"%1\$s_1\"}\n\ndata: {\"a\":{\n\ndata: {\"a\":{\"b\":\"%1\$s_2\"}}\n\n", 1, 2), '2',
    'a path, in each event anew');
is(learned('text', 'text/plain', 'See http://localhost/a?sid=%1$s_1, http://other.example/?sid=%1$s_2 '
    . "or <a?sid=%1\$s_3>.\n", 1 .. 3), '1 3', 'prose');
is(learned('text', 'application/json', '{"u":"http:\/\/localhost\/a?b=c\u0026sid=%s_1"}', 1), '1',
    'a URL in JSON');
is(learned('text', 'text/xml', '<loc>http://localhost/a?b=c&amp;sid=%s_1</loc>', 1), '1',
    'a URL in XML');

# A body from which no id is learned does no harm, whatever it is.

my $long = '{"sid":"' . 'x' x 100_000 . '"}';
$t->write_file('long', "Content-Type: application/json\r\n\r\n$long");
my $reply = get('/json/', 'X-Script' => '@long');
ok(http_content($reply) eq $long, 'an endless string passes');
$t->write_file('deep', "Content-Type: application/json\r\n\r\n" . '[' x 100_000);
$reply = get('/json_a_sid/', 'X-Script' => '@deep');
is(length http_content($reply), 100_000, "and endless brackets");

# Has a body delivered and returns which of its ids were learned: those that lead where it came
# from. Each stands in it behind a number of its own.
sub learned {
    my ($learn, $type, $body, @ids) = @_;
    our $bodies;
    my $number = 1000 + ++$bodies;
    my $uri = '/' . ($learn =~ tr/,:./___/r) . '/';
    my $reply = get($uri, 'X-Script' =>
        script("Content-Type: $type\r\n\r\n", sprintf $body, $number));
    return join ' ', grep {
        my $id = "${number}_$_";
        $id =~ s!/!%2F!;
        my $next = get("$uri?sid=$id", 'X-Script' => script("\r\n"));
        status($next) eq 'HIT' && served_by($next) eq served_by($reply);
    } @ids;
}
