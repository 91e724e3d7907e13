#!/usr/bin/perl

# Tests for the servers that cannot answer: proxy_next_upstream, no_fallback, sticky_no_fallback,
# backup and max_conns; without them a session is refused, or stays with a server that is down.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(31);

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

    upstream u {
        sticky mode=query;
        server 127.0.0.1:8081 max_fails=0;
        server 127.0.0.1:8082 max_fails=0;
    }

    upstream strict {
        sticky mode=query no_fallback;
        server 127.0.0.1:8081 max_fails=0;
        server 127.0.0.1:8082 max_fails=0;
    }

    upstream failing {
        sticky mode=query;
        server 127.0.0.1:8081 max_fails=1 fail_timeout=1h;
        server 127.0.0.1:8082 max_fails=1 fail_timeout=1h;
    }

    upstream backup {
        sticky mode=query;
        server 127.0.0.1:8081 max_fails=0;
        server 127.0.0.1:8083 max_fails=0 backup;
    }

    upstream single {
        sticky mode=query no_fallback;
        server 127.0.0.1:8081;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;
        add_header   X-Tried   $upstream_addr  always;

        location / {
            proxy_pass http://u;
            proxy_next_upstream error http_500 non_idempotent;
        }

        location /strict/ {
            proxy_pass http://strict/;
        }

        location /here/ {
            sticky_no_fallback;
            proxy_pass http://u/;

            location /here/deeper/ {
                proxy_pass http://u/;
            }
        }

        location /failing/ {
            proxy_pass http://failing/;
        }

        location /backup/ {
            proxy_pass http://backup/;
        }

        location /single/ {
            proxy_pass http://single/;
        }
    }
}

EOC

$t->run();

my %other = (A => 'B', B => 'A');

# A retry: ids are learned for the server that answers, not for the one that was asked first.

$t->write_file('failed_A', '');
my $reply = retried('/', 'retry');
is(served_by($reply), 'B', 'answered by the second');
unlink $t->testdir() . '/failed_A';
is(where('/?sid=retry'), 'BBBBBB', 'the one that answered has the session');

$t->write_file('closed_A', '');
retried('/', 'closed');
unlink $t->testdir() . '/closed_A';
is(where('/?sid=closed'), 'BBBBBB', 'so it is when the first closed the connection');

# The same with a session: it goes to the one that answered.

my $home = served_by(get('/', 'X-Page' => link_to('moved')));
$t->write_file("closed_$home", '');
$reply = get('/?sid=moved');
is(served_by($reply), $other{$home}, 'session, its server closes: the next one answers');
is(status($reply), 'GONE', 'status');
like($reply, qr/^X-Tried: \S+, \S+\x0d/m, 'its server was asked first, and once');
unlink $t->testdir() . "/closed_$home";
is(where('/?sid=moved'), $other{$home} x 6, 'and has the session, now that both are there');

$home = served_by(get('/', 'X-Page' => link_to('posted')));
$t->write_file("failed_$home", '');
$reply = post('/', 'sid=posted');
is(served_by($reply) . ' ' . status($reply), "$other{$home} GONE", 'form, its server answers 500');
unlink $t->testdir() . "/failed_$home";
is(where('/?sid=posted'), $other{$home} x 6, 'the session has gone over');

# No server answers: nothing is lost.

$home = served_by(get('/', 'X-Page' => link_to('kept')));
$t->write_file("closed_$_", '') for qw/ A B /;
$reply = get('/?sid=kept');
like($reply, qr/^HTTP\/1.1 502 /, 'no server answers');
is(status($reply), 'GONE', 'status');
unlink $t->testdir() . "/closed_$_" for qw/ A B /;
is(where('/?sid=kept'), $home x 6, 'and the session is where it was');

# All servers answer with 500.

$t->write_file("failed_$_", '') for qw/ A B /;
like(get('/?sid=kept'), qr/^HTTP\/1.1 500 /, 'both servers answer 500');
unlink $t->testdir() . "/failed_$_" for qw/ A B /;
is(where('/?sid=kept'), $home x 6, 'and the session is where it was');

# no_fallback: only who has a session is refused.

$home = served_by(get('/strict/', 'X-Page' => link_to('strict')));
$t->write_file("closed_$home", '');
$reply = get('/strict/?sid=strict');
like($reply, qr/^HTTP\/1.1 502 /, 'no_fallback: refused');
is(status($reply), 'GONE', 'no_fallback: status');
like($reply, qr/^X-Tried: 127\.0\.0\.1:${\ port($home eq 'A' ? 8081 : 8082) }(, strict)?\x0d/m,
    'no_fallback: the other server was not asked');
like(get('/strict/'), qr/ 200 /, 'no_fallback: a request without an id is balanced') for 1, 2;
is(status(get('/strict/?sid=unknown')), 'MISS', 'no_fallback: an unknown id is balanced');
like(get('/strict/?sid=unknown'), qr/ 200 /, 'no_fallback: and answered');
unlink $t->testdir() . "/closed_$home";
is(where('/strict/?sid=strict'), $home x 6, 'no_fallback: there again with its server');

# sticky_no_fallback: in its location and below, not elsewhere.

$home = served_by(get('/', 'X-Page' => link_to('here')));
$t->write_file("closed_$home", '');
like(get('/here/?sid=here'), qr/ 502 /, 'sticky_no_fallback: refused');
like(get('/here/deeper/?sid=here'), qr/ 502 /, 'sticky_no_fallback: inherited');
like(get('/here/'), qr/ 200 /, 'sticky_no_fallback: balanced without an id');
is(served_by(get('/?sid=here')), $other{$home}, 'not in another location');
unlink $t->testdir() . "/closed_$home";

# max_fails: while the server counts as failed, it is not asked; afterwards, all is as before.

$home = served_by(get('/failing/', 'X-Page' => link_to('fail')));
my ($first) = grep { served_by(get('/failing/', 'X-Page' => link_to($_))) eq $home } 1 .. 4;
$t->write_file("closed_$home", '');
get('/failing/?sid=fail');
unlink $t->testdir() . "/closed_$home";
$reply = get("/failing/?sid=$first");
unlike($reply, qr/^X-Tried: \S+, /m, 'max_fails: a failed server is not asked');
is(served_by($reply), $other{$home}, 'max_fails: the other one is');

# backup, single server

$t->write_file('closed_A', '');
get('/backup/', 'X-Page' => link_to('backup'));
unlink $t->testdir() . '/closed_A';
is(where('/backup/?sid=backup'), 'CCCCCC', 'backup server keeps its sessions');

get('/single/', 'X-Page' => link_to('single'));
is(where('/single/?sid=single'), 'AAAAAA', 'single server');
$t->write_file('closed_A', '');
like(get('/single/?sid=single'), qr/ 502 /, 'single server, closed');
unlink $t->testdir() . '/closed_A';

# Asks until a request was tried at two servers.
sub retried {
    my ($uri, $id) = @_;
    my $reply = '';
    for (1 .. 3) {
        $reply = get($uri, 'X-Page' => link_to($id));
        last if $reply =~ /^X-Tried: \S+, \S+/m;
    }
    return $reply;
}
