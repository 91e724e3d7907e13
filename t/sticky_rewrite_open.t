#!/usr/bin/perl

# Tests for pages with many elements that no end tag closes, which is valid HTML; without it, links
# and forms behind the 2,048th are left as they are, and learn=forms learns nothing there.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;

my $t = Test::Nginx->new()->has(qw/http proxy/)->plan(4);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    upstream rewrite {
        sticky mode=rewrite hash=index;
        server 127.0.0.1:8081;
    }

    upstream forms {
        sticky mode=query learn=forms;
        server 127.0.0.1:8081;
    }

    server {
        listen       127.0.0.1:8080;
        add_header   X-Status  $sticky_status  always;
        location /rewrite/ { proxy_pass http://rewrite/; }
        location /forms/ { proxy_pass http://forms/; }
    }

    server {
        listen  127.0.0.1:8081;
        types { text/html html; }
    }
}

EOC

my $row = '<tr><td>1<td>2<td>3<td><a href="/x">x</a>';
my %page = (few => 400, many => 700);
for my $name (keys %page) {
    $t->write_file("$name.html", '<table>' . ($row x $page{$name})
        . "</table><form action=/last method=post><input name=sid value=$name></form>");
}
$t->run();

for my $name (qw/ few many /) {
    like(http_get("/rewrite/$name.html"), qr!"/last\?route=0"!, "$name rows: the last form");
    http_get("/forms/$name.html");
    like(http_get("/forms/few.html?sid=$name"), qr/^X-Status: HIT/m, "$name rows: learn=forms");
}
