#!/usr/bin/perl

# Tests for id_delimiter=, which cuts the name of a node off ids; without these a session is lost
# when its node gets another name, or two nodes' names make two sessions of one.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(22);

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    upstream cut {
        sticky mode=query name=JSESSIONID name=jsessionid id_delimiter=.
            from=path,cookie,query,form,header:X-Session learn=html,location;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream whole {
        sticky mode=query name=jsessionid from=path;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream forms {
        sticky mode=query name=jsessionid from=form id_delimiter=! learn=forms;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        location / {
            proxy_pass http://cut;
        }

        location /whole/ {
            proxy_pass http://whole/;
        }

        location /forms/ {
            proxy_pass http://forms/;
        }
    }
}

EOC

$t->run();

my $id = '0A1B2C3D4E5F60718293A4B5C6D7E8F9';

my $reply = get('/', 'X-Page' => "<a href='cart;jsessionid=$id.node1?a=b'>");
ok(holds($reply, "/;jsessionid=$id.node1"), 'Tomcat: the id with the name of its node');
ok(holds($reply, "/;jsessionid=$id.node2"), 'with the name of another node');
ok(holds($reply, "/;jsessionid=$id"), 'without');
ok(holds($reply, "/;jsessionid=$id.node1.shop.example"), 'the name reaches from the first dot on');
ok(holds($reply, "/;jsessionid=$id%2Enode1"), 'a dot may be escaped');
ok(holds($reply, '/', Cookie => "JSESSIONID=$id.node3"), 'in a cookie');
ok(holds($reply, "/?jsessionid=$id.node1"), 'in a query');
ok(holds($reply, '/', 'X-Session' => "$id.node1"), 'in a header');
is(status(post('/', "jsessionid=$id.node4")), 'HIT', 'in a form');
is(status(get('/', Cookie => "JSESSIONID=$id.node1; JSESSIONID=$id.node2")), 'HIT',
    'two nodes, one id');
is(status(get('/', Cookie => "JSESSIONID=x.node1; JSESSIONID=$id.node1")), 'HIT',
    'one node, two ids');
is(status(get('/;jsessionid=.node1')), 'NONE', 'nothing before the dot is no id');
is(status(get('/;jsessionid=.node1', Cookie => "JSESSIONID=$id.node1")), 'HIT',
    'so the next place decides');
is(status(get('/;jsessionid=' . 'x' x 4096 . '.node1')), 'MISS', '4,096 bytes before it are one');
is(status(get('/;jsessionid=' . 'x' x 4097 . '.node1')), 'NONE', 'more are not');

$reply = get('/302', 'X-Location' => '/cart;jsessionid=location.node1');
ok(holds($reply, '/;jsessionid=location'), 'learned from Location');
$reply = get('/', 'X-Page' => '<input type=hidden name=jsessionid value=field.node1>');
ok(holds($reply, '/;jsessionid=field'), 'from a field');
get('/', 'X-Page' => '<a href="cart;jsessionid=.node1">');
is(status(get('/;jsessionid=%2Enode1', Cookie => 'JSESSIONID=.node1')), 'NONE',
    'nothing is learned from the name of a node alone');

get('/forms/', 'X-Page' => '<form><input name=jsessionid value="weblogic!-123!456"></form>');
is(status(post('/forms/', 'jsessionid=weblogic!789!456')), 'HIT', 'another delimiter, learn=forms');
is(status(post('/forms/', 'jsessionid=weblogic.x!789')), 'MISS', 'which is the only one');

get('/whole/', 'X-Page' => "<a href='cart;jsessionid=$id.node1'>");
is(status(get("/whole/;jsessionid=$id.node1")), 'HIT', 'without id_delimiter, the id is all of it');
is(status(get("/whole/;jsessionid=$id")), 'MISS', 'and a part is another');
