#!/usr/bin/perl

# Tests for sessions whose server has all the connections that max_conns allows; without these, a
# short rush takes every session away from a busy server, though it is well.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Servers;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite upstream_zone /)->plan(15);

# Nobody listens on 8083; where it is a server, it comes before 8082.

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;
worker_processes 4;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    upstream cookie {
        zone cookie 64k;
        sticky hash=index;
        server 127.0.0.1:8081 max_conns=1;
        server 127.0.0.1:8082;
    }

    upstream query {
        zone query 64k;
        sticky mode=query name=sid;
        server 127.0.0.1:8081 max_conns=1;
        server 127.0.0.1:8082;
    }

    upstream broken {
        zone broken 64k;
        sticky mode=query name=sid;
        server 127.0.0.1:8081 max_conns=1;
        server 127.0.0.1:8083 max_fails=0 weight=1000;
        server 127.0.0.1:8082;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location ~ ^/(?<upstream>\w+)(?<rest>/.*)$ {
            proxy_pass http://$upstream$rest$is_args$args;
            add_header X-Status $sticky_status always;
            add_header X-Tried $upstream_addr always;
        }
    }
}

EOC

my ($first, $second, $dead) = (port(8081), port(8082), port(8083));
$t->run_daemon(\&server, $_, $_) for $first, $second;
$t->run();
$t->waitforsocket("127.0.0.1:$_") for $first, $second;

# cookie

my $held = hold('/cookie/hold', 'Cookie: route=0');
my $reply = get('/cookie/', 'Cookie: route=0');
is(served_by($reply) . ' ' . status($reply), "$second FULL",
    'cookie: served elsewhere while its server is full');
unlike(join(',', cookies($reply)), qr/route=1/, 'cookie: not told to go elsewhere for ever');
unlike(get('/cookie/'), qr/^X-Server: $first/m, 'cookie: no others meanwhile');
release($held);
is(visit('/cookie/', 'Cookie: route=0'), "$first HIT", 'cookie: back at its server');

# query

my $id = learned('query');
is(visit("/query/?sid=$id"), "$first HIT", 'query: learned');

$held = hold("/query/hold?sid=$id");
for my $number (1 .. 3) {
    is(visit("/query/?sid=$id"), "$second FULL",
        "query: served elsewhere while its server is full, request $number");
}
release($held);
is(visit("/query/?sid=$id"), "$first HIT", 'query: back at its server');

# Most pages hand the id of their session out again.

$held = hold("/query/hold?sid=$id");
is(visit("/query/redirect/?sid=$id"), "$second FULL",
    'query: a page with the same id from elsewhere');
release($held);
is(visit("/query/?sid=$id"), "$first HIT", 'query: back at its server after such a page');

# The server is full, the next one does not answer, a third does.

$id = learned('broken');
is(visit("/broken/?sid=$id"), "$first HIT", 'broken: learned');

$held = hold("/broken/hold?sid=$id");
$reply = get("/broken/?sid=$id");
is(served_by($reply) . ' ' . status($reply), "$second FULL",
    'broken: served elsewhere while its server is full');
is(header('X-Tried', $reply), "127.0.0.1:$dead, 127.0.0.1:$second",
    'broken: after a server that does not answer');
release($held);
is(visit("/broken/?sid=$id"), "$first HIT", 'broken: back at its server');

# A session id that the first server has handed out.
sub learned {
    my ($upstream) = @_;
    for my $number (1 .. 20) {
        my $reply = get("/$upstream/redirect/?sid=$upstream$number");
        return "$upstream$number" if served_by($reply) eq $first;
    }
    return 'none';
}

sub hold {
    my $socket = get(@_, { start => 1 });
    eventually(sub { ask($first, 'held') == 1 });
    return $socket;
}

sub release {
    my ($socket) = @_;
    ask($first, 'release');
    local $/;
    return scalar <$socket>;
}
