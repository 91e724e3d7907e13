#!/usr/bin/perl

# Tests for share= with learn=request: while no answer has kept a session, a request to an upstream
# that does not have its server must not take it, least of all in the first seconds of a worker, which
# does not know yet what the other upstreams have.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(13);

my $conf = <<'EOC';

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    upstream pages {
        sticky mode=query from=header:X-Id learn=request share=shop;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082 down;
    }

    upstream chats {
        sticky mode=query from=header:X-Id learn=request share=shop;
        server 127.0.0.1:8083;
        server 127.0.0.1:8082 down;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status                      always;
        add_header   X-Known   "$sticky_from $sticky_known"        always;

        location /pages { proxy_pass http://pages/; }
        location /chats { proxy_pass http://chats/; }
    }
}

EOC

$t->write_file_expand('nginx.conf', $conf);
for (8081, 8083) {
    $t->run_daemon(\&scripted, port($_), port($_), $t->testdir());
    $t->waitforsocket('127.0.0.1:' . port($_));
}
$t->run();
rounds('after the start');
ok(reload_with($t, $conf), 'a reload');
rounds('after a reload');

# None of the first four is answered before the last one has come.
sub rounds {
    my ($when) = @_;
    (my $id = $when) =~ s/ /-/g;
    my @expected = (['/pages', '8081 MISS'], ['/pages', '8081 HIT'], ['/chats', '8083 FOREIGN'],
        ['/pages', '8081 HIT']);
    my @open;
    for (@expected) {
        push @open, get($$_[0], 'X-Id' => $id, 'X-Script' => script(\'?go', "\x0d\x0a"), { start => 1 });
        # nginx has one worker, which takes them in this order; so that it does not take two at once.
        select undef, undef, undef, 0.05;
    }
    $t->write_file('go', '');
    for (@expected) {
        my $reply = reply_of(shift @open);
        my ($port, $status) = split ' ', $$_[1];
        is(served_by($reply) . ' ' . status($reply), port($port) . " $status", "$$_[0] $when");
    }
    unlink $t->testdir() . '/go';
    is(visit('/pages', 'X-Id' => $id), port(8081) . ' HIT', "then: the session is where it began");
    is(visit('/chats', 'X-Id' => $id), port(8083) . ' FOREIGN', 'and elsewhere it is none');
}
