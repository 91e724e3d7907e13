#!/usr/bin/perl

# Tests for what `sticky learn` promises beyond nginx: a live session is not taken over by the
# response to another client, no id is learned from an error, a full server keeps its sessions; all
# of it in memory that workers share and a reload keeps. Without these, sessions wander as they may
# in nginx.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite map/)->plan(20);

# norefresh, which nginx does not know, has the module serve the directive on every version.

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    upstream u {
        server 127.0.0.1:8081 max_fails=0;
        server 127.0.0.1:8082 max_fails=0;
        sticky learn create=$upstream_http_x_session lookup=$arg_s lookup=$cookie_s
               zone=u:1m timeout=1h norefresh;
    }

    upstream short {
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        sticky learn create=$upstream_http_x_session lookup=$arg_s zone=short:32k timeout=5
               norefresh;
    }

    upstream header {
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        sticky learn create=$upstream_http_x_session lookup=$arg_s zone=header:32k header
               norefresh;
    }

    upstream own {
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        sticky learn create=$arg_s lookup=$arg_s zone=own:32k norefresh;
    }

    map $sticky_peer $to {
        default $sticky_peer;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-To $to always;
        add_header   X-Status $sticky_status always;

        location /u {
            proxy_pass http://u;
            proxy_next_upstream http_403 non_idempotent;
        }
        location /short {
            proxy_pass http://short;
        }
        location /header {
            proxy_pass http://header;
        }
        location /own {
            proxy_pass http://own;
        }
    }

    # A server hands out what it is asked for.

    server {
        listen       127.0.0.1:8081;
        listen       127.0.0.1:8082;
        server_name  localhost;

        add_header X-Session $arg_give always;

        location / {
            return 200 "body";
        }
        location /u/500 {
            return 500;
        }
        location /u/403 {
            if ($arg_at = $server_port) {
                return 403;
            }
            return 200;
        }
    }
}

EOC

$t->run();

my @ports = (port(8081), port(8082));

# Learned by the server's word, found by any worker.

my $home = to('/u?give=alice');
my ($away) = grep { $_ != $home } @ports;
is(tos('/u?s=alice', 12), $home, 'a session stays where it was learned');
is(status(get('/u?s=alice')), 'HIT', 'and its status says so');
is(status(get('/u?s=nobody')), 'MISS', 'an unknown one is a miss');
is(status(get('/u')), 'NONE', 'without an id there is nothing');
is(tos('/u', 12, 'Cookie: s=alice'), $home, 'the second variable counts where the first is empty');

# The response to another client does not take it over.

for (1 .. 8) {
    to('/u?give=alice');
}
is(tos('/u?s=alice', 6), $home, q{the response to another client hands out the id});

my $bob;
for (1 .. 20) {
    $bob = "bob$_";
    last if to("/u?give=$bob") == $away;
}
is(tos("/u?s=$bob&give=alice", 6), $away, 'a session of the other server hands out the id');
is(tos('/u?s=alice', 6), $home, 'and the owner stays');

# A response with an error makes no session.

to('/u/500?give=carol');
is(status(get('/u?s=carol')), 'MISS', 'a response of 500 makes no session');
is(tos('/u/500?s=alice', 4), $home, 'but a session stays through it');

# The holder refuses, another answers: then the session goes on there.

is(to("/u/403?s=alice&at=$home"), $away, 'the next server answers');
is(tos('/u?s=alice', 6), $away, 'and has the session');

# By a variable of the request: who answers has it.

my $dave = to('/own?s=dave');
is(tos('/own?s=dave', 6), $dave, 'a session made by the request');

my $erin = to('/header?give=erin');
is(tos('/header?s=erin', 6), $erin, 'a session learned from the header');

# Over a reload.

my $gone = workers_gone($t);
$t->reload();
eventually(sub { workers_gone($t) >= $gone + 2 });
is(workers_gone($t), $gone + 2, 'reloaded');
is(tos('/u?s=alice', 12), $away, 'a reload keeps the sessions');
is(tos("/u?s=$bob", 12), $away, 'all of them');
is(tos('/own?s=dave', 6), $dave, 'in all zones');

# norefresh: in use or not, its time is over.

my $id;
my ($short) = in_time(4, sub {
    my ($round) = @_;
    $id = "frank$round";
    to("/short?give=$id");
    return status(get("/short?s=$id"));
});
is($short, 'HIT', 'a short session');
ok(eventually(sub { status(get("/short?s=$id")) eq 'EXPIRED' }), 'use does not prolong it');

sub to { return get(@_) =~ /^X-To: \S+:(\d+)/m ? $1 : 'nowhere' }

sub tos {
    my ($uri, $count, @cookie) = @_;
    my %seen = map { to($uri, @cookie) => 1 } 1 .. $count;
    return join ' ', sort keys %seen;
}

sub workers_gone {
    my ($t) = @_;
    my @gone = $t->read_file('error.log') =~ /worker process \d+ exited with code/g;
    return scalar @gone;
}
