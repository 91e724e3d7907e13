#!/usr/bin/perl

# Tests for a session id that changes in mid-session: the new one stays with the server that made
# it; without them a login (session_regenerate_id) ends the session.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(9);

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

worker_processes 4;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    upstream u {
        sticky mode=query;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    server {
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        location / {
            proxy_pass http://u;
        }
    }
}

EOC

$t->run();

my $home = served_by(get('/', 'X-Page' => link_to('old')));

is(served_by(get('/?sid=old', 'X-Page' => link_to('link'))), $home, 'link with another id');
is(where('/?sid=link'), $home x 6, 'stays with the server');
is(served_by(post('/302', 'sid=link', 'X-Location' => '/?sid=redirect')), $home,
    'redirect with another id, after a form');
is(where('/?sid=redirect'), $home x 6, 'stays with the server');
get('/?sid=redirect', 'X-Page' => '<input type=hidden name=sid value=input>');
is(where('/?sid=input'), $home x 6, 'input with another id');
is(where('/?sid=old'), $home x 6, 'the old id is still good');

# A page with both.

get('/?sid=input', 'X-Page' => link_to('input') . link_to('both'));
is(where('/?sid=both') . where('/?sid=input'), $home x 12, 'old and new on one page');

# One id after the other, without end.

my ($last, %seen) = 'both';
for my $n (1 .. 30) {
    my $reply = get("/?sid=$last", 'X-Page' => link_to("next$n"));
    $seen{ status($reply) . ' ' . served_by($reply) } = 1;
    $last = "next$n";
}
is(join(', ', keys %seen), "HIT $home", 'thirty ids, one server');

# An unknown id does not belong to a session.

my $reply = get('/?sid=lost', 'X-Page' => link_to('found'));
ok(holds($reply, '/?sid=found'), 'new id for a request whose own is unknown');
