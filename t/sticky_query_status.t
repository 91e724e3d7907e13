#!/usr/bin/perl

# Tests for $sticky_status and $sticky_peer in add_header and in the access log; without them an
# operator cannot see what the module does.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(24);

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    # From nginx 1.29.7 on connections to servers are kept without being asked for. A kept one that
    # fails is no lost server yet, see sticky_upstream_stale.t.
    proxy_http_version 1.0;

    log_format seen "$arg_n:$sticky_status:$sticky_peer:$upstream_addr";

    upstream u {
        sticky mode=query;
        server 127.0.0.1:8081 max_fails=0;
        server 127.0.0.1:8082 max_fails=0;
    }

    upstream brief {
        sticky mode=query expires=1s;
        server 127.0.0.1:8081;
    }

    upstream plain {
        server 127.0.0.1:8081;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;
        add_header   X-Peer    $sticky_peer    always;
        access_log   %%TESTDIR%%/seen.log  seen;

        location / {
            proxy_pass http://u;
        }

        location /brief/ {
            proxy_pass http://brief/;
        }

        location /plain/ {
            proxy_pass http://plain/;
        }

        location /own/ {
            return 200 ok;
        }

        location /pass_on/ {
            proxy_set_header X-Page "<a href='?sid=$sticky_status'>";
            proxy_pass http://u/;
        }
    }
}

EOC

$t->run();

my %address = (
    A => '127.0.0.1:' . port(8081),
    B => '127.0.0.1:' . port(8082),
);

# add_header: the header of the response tells what it can know. The page comes later.

my $reply = get('/?n=1');
is(status($reply), 'NONE', 'NONE, no id');
is(peer($reply), $address{ served_by($reply) }, 'peer of a request without a session');

$reply = get('/302?n=2', 'X-Location' => '/?sid=new');
is(status($reply), 'NEW', 'NEW, id handed out');
my $home = served_by($reply);

$reply = get('/?n=3&sid=new');
is(status($reply), 'HIT', 'HIT, session known');
is(served_by($reply), $home, 'at its server');
is(peer($reply), $address{$home}, 'peer of a session');

is(status(get('/?n=4&sid=unknown')), 'MISS', 'MISS, id unknown');
is(status(get('/302?n=5&sid=unknown', 'X-Location' => '/?sid=unknown')), 'MISS',
    'MISS, even when the response hands the id out');
is(status(get('/?n=6&sid=unknown')), 'HIT', 'after which it is known');

get('/?n=7', 'X-Page' => link_to('page'));
is(status(get('/?n=8&sid=page')), 'HIT', 'HIT, id from a page');

# The session's server closes the connection: the other one answers.

$t->write_file("closed_$home", '');
$reply = get('/?n=9&sid=new');
is(status($reply), 'GONE', 'GONE, server of the session unusable');
is(served_by($reply), $home eq 'A' ? 'B' : 'A', 'answered by another');
is(peer($reply), $address{ served_by($reply) }, 'whose name is the peer');
unlink $t->testdir() . "/closed_$home";

get('/brief/?n=14', 'X-Page' => link_to('brief'));
sleep 2.1;
is(status(get('/brief/?n=10&sid=brief')), 'EXPIRED', 'EXPIRED, session too old');

# Where there is no session to speak of.

my $plain = get('/plain/?n=11&sid=new');
unlike($plain, qr/^X-(Sticky|Peer)/m, 'no status in an upstream that is not sticky');
unlike(get('/own/?n=12&sid=new'), qr/^X-(Sticky|Peer)/m, 'no status without an upstream');
like(get('/pass_on/?n=13'), qr/ 200 .*^X-Status: NONE/ms, 'status asked for too early');

$t->stop();

# The log is written at the end, when the page has been read.

my %log = map { /^(\d+):(.*)$/ ? ($1 => $2) : () } split /\n/, $t->read_file('seen.log');
my $name = qr/127\.0\.0\.1:\d+/;

like($log{1}, qr/^NONE:($name):\1$/, 'log, NONE');
like($log{2}, qr/^NEW:($name):\1$/, 'log, NEW, from a header');
like($log{7}, qr/^NEW:($name):\1$/, 'log, NEW, from a page');
like($log{3}, qr/^HIT:($name):\1$/, 'log, HIT');
like($log{9}, qr/^GONE:($name):\Q$address{$home}\E, \1$/, 'log, GONE: the peer that answered');
is(join(' ', map { $log{$_} =~ /^(\w+)/ } 4, 5, 6, 8, 10), 'MISS MISS HIT HIT EXPIRED',
    'log, the others');
is("$log{11} $log{12}", "-:-:$address{A} -:-:-", 'log, no status');

sub peer { return $_[0] =~ /^X-Peer: (\S+)\x0d/m ? $1 : 'none' }
