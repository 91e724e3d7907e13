#!/usr/bin/perl

# Tests for $sticky_from and $sticky_known, which say where the id of a request stands and whether
# its session is live, also before the server is chosen; without them nobody can tell an application
# why a request came to it, or find out which place brings the ids.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(36);

my $servers = join ' ', map { "server 127.0.0.1:$_;" } 8081 .. 8083;
$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    # What a server got in the headers X-Sticky-From and -Known.
    server {
        listen      127.0.0.1:8084;
        listen      127.0.0.1:8085;
        add_header  X-Got    "\$http_x_sticky_from \$http_x_sticky_known" always;
        add_header  X-Server \$server_port always;

        location /broken/ {
            if (\$server_port = %%PORT_8084%%) {
                return 502;
            }
        }
        location /asked/new { add_header Location /asked/?sid=live; return 200 ok; }
        location / { return 200 ok; }
    }

    proxy_set_header X-Sticky-From  \$sticky_from;
    proxy_set_header X-Sticky-Known \$sticky_known;

    upstream u {
        sticky mode=query name=sid name=JSESSIONID
               from=cookie,path,query,form,header:X-Session,segment:/s/;
        $servers
    }

    upstream in_bodies {
        sticky mode=query name=sid learn=off
               from=json,json:params.0,json:.id,xml:item,\$http_x_text,\$http_x_a:\$http_x_b;
        $servers
    }

    upstream body {
        sticky mode=query from=json:.id learn=off;
        $servers
    }

    upstream entered {
        sticky mode=query name=sid learn=request zone=entered;
        $servers
    }

    log_format from '\$sticky_from';

    upstream asked {
        sticky mode=query name=sid zone=asked;
        server 127.0.0.1:8084;
        server 127.0.0.1:8085;
    }

    upstream cookie {
        sticky name=route;
        $servers
    }

    upstream rewritten {
        sticky mode=rewrite;
        $servers
    }

    upstream none {
        $servers
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  \$sticky_status  always;
        add_header   X-From    "\$sticky_from \$sticky_known"  always;

        location / {
            proxy_pass http://u;
        }

        location /body/ {
            proxy_pass http://body;
            access_log %%TESTDIR%%/from.log from;
        }

        location /entered/ {
            proxy_pass http://entered;
        }

        location /in_bodies/ {
            proxy_pass http://in_bodies;
            access_log %%TESTDIR%%/from.log from;
        }

        location /asked/ {
            proxy_pass http://asked;
        }

        location /broken/ {
            proxy_pass http://asked;
            proxy_next_upstream http_502;
        }

        location /cookie/ {
            proxy_pass http://cookie;
        }

        location /rewritten/ {
            proxy_pass http://rewritten;
        }

        location /none/ {
            proxy_pass http://none;
        }

        location /own/ {
            return 200 "\$sticky_from";
        }
    }
}

EOC

$t->run();

sub from { return header('X-From', $_[0]) }

# In each place.

my $reply = get('/', 'X-Page' => '<a href="/?sid=id">');
for (
    ['query:sid 1', '/?sid=id'],
    ['query:JSESSIONID 1', '/?JSESSIONID=id'],
    ['query:sid 0', '/?sid=other'],
    ['path:sid 1', '/a;sid=id'],
    ['path:JSESSIONID 1', '/a;jsessionid=id'],
    ['cookie:sid 1', '/?sid=other', Cookie => 'sid=id'],
    ['cookie:JSESSIONID 1', '/', Cookie => 'a=b; JSESSIONID=id'],
    ['query:sid 1', '/?sid=id', Cookie => 'sid=other'],
    ['header:x-session 1', '/', 'X-Session' => 'id'],
    ['segment:/s/ 1', '/s/id/x'],
    ['none 0', '/'],
    ['none 0', '/?sid='],
    ['long 0', '/?sid=' . 'x' x 5000],
    ['long 0', '/', 'X-Session' => 'x' x 5000],
    ['query:sid 1', '/?JSESSIONID=' . ('x' x 5000) . '&sid=id'],
) {
    my ($expected, @request) = @$_;
    my $what = substr "@request", 0, 40;
    is(from(get(@request)), $expected, "$expected: $what");
}
is(from(post('/', 'a=b&sid=id')), 'form:sid 1', 'form:sid');

# Each member, element and variable by its name.

for (
    ['json:sid 0', '{"a":{"sid":"1"},"id":"2"}', 'application/json'],
    ['json:params.0 0', '{"params":["1"]}', 'application/json'],
    ['json:.id 0', '{"id":"1","a":{"x":"2"}}', 'application/json'],
    ['xml:item 0', '<a><item>1</item></a>', 'text/xml'],
) {
    my ($expected, $body, $type) = @$_;
    is(from(post('/in_bodies/', $body, 'Content-Type' => $type)), $expected, $expected);
}
is(from(get('/in_bodies/', 'X-Text' => 1)), '$http_x_text 0', 'a variable');
is(from(get('/in_bodies/', 'X-A' => 1, 'X-B' => 2)), '$http_x_a:$http_x_b 0', 'a text of two');

# In the log, when nginx has closed the file of the body.

my $long = '{"text":"' . ('x' x 30000) . '","id":"1"}';
for my $path (qw{ /body/ /in_bodies/ }) {
    post($path, $long, 'Content-Type' => 'application/json');
}
my @lines;
eventually(sub { (@lines = split /\n/, $t->read_file('from.log')) >= 8 });
is($lines[-2], 'json:.id', 'a body that is in a file, in the log');
is($lines[-1], 'json', 'of several members none is named');

# A request that begins its session itself.

is(from(get('/entered/?sid=1')), 'query:sid 0', 'learn=request: the first request');
is(from(get('/entered/?sid=1')), 'query:sid 1', 'the second one');

# Before the server is chosen.

sub got { return header('X-Got', $_[0]) }

is(got(get('/asked/')), 'none 0', 'asked before, without an id');
is(got(get('/asked/?sid=1')), 'query:sid 0', 'with an unknown one');
get('/asked/new');
is(got(get('/asked/?sid=live')), 'query:sid 1', 'with the id of a live session');
get('/asked/');
$reply = get('/broken/?sid=1');
is(header('X-Server', $reply) . ' ' . got($reply), port(8085) . ' query:sid 0',
    'a retry sends the same');

# Other modes, and none.

$reply = get('/cookie/');
my ($route) = cookies($reply) =~ /(\w+)/ ? (cookies($reply))[0] =~ /^(route=\w+)/ : '';
is(from($reply), 'none 0', 'mode=cookie: none');
is(from(get('/cookie/', Cookie => $route)), 'cookie:route 1', 'the cookie');
is(from(get('/cookie/', Cookie => 'route=x')), 'cookie:route 0', 'an unknown one');
is(from(get('/rewritten/?route=x')), 'query:route 0', 'mode=rewrite');
is(from(get('/none/?sid=id')), ' ', 'no sticky upstream');
like(get('/own/?sid=id'), qr/\x0d\x0a\x0d\x0a$/, 'no upstream');
