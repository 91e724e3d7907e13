#!/usr/bin/perl

# Tests for state=FILE: sessions outlive nginx, however it ends, and grow older while it is down;
# without it every restart of nginx logs out all users.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;
use Sticky::State;
use Sticky::Traffic;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(19);

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    error_log %%TESTDIR%%/error.log notice;

    include backends.conf;

    upstream u {
        sticky mode=query zone=u:128k state=%%TESTDIR%%/u.state;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream short {
        sticky mode=query expires=20s state=short.state;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        location / {
            proxy_pass http://u;
        }

        location /short/ {
            proxy_pass http://short/;
        }
    }
}

EOC

my $file = $t->testdir() . '/u.state';
$t->run();

my %home = hand_out('/', 'id', 400);
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'all sessions hold');

# At once when nginx starts, so that whoever cannot write it hears of it.

ok(eventually(sub { -e $file }), 'the file is written when nginx starts');
is(mode_of($file), '600', 'for nobody else to read');

# Each way to end.

for my $signal (qw/ QUIT TERM INT /) {
    ok(restarted($t, $signal), "ended with $signal");
    is(differing(\%home, { bring_back('/', keys %home) }), 0, "$signal: all sessions hold");
}

# Without a farewell: what the latest file has. A reload writes one.

ok(changed($file, sub { $t->reload() }), 'a reload writes the file');
ok(restarted($t, 'KILL'), 'all killed');
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'killed: all sessions hold');

# Unused sessions too, and those of the other zone.

my %unused = hand_out('/', 'unused', 40);
ok(restarted($t, 'TERM'), 'ended before they are used');
is(differing(\%unused, { bring_back('/', keys %unused) }), 0, 'sessions without a request hold');

# Time goes on: not less than it was, not more.

my @short = in_time(18, sub {
    my ($round, $is_in_time) = @_;
    my %short = hand_out('/short/', "short$round-", 8);
    my @seen = differing(\%short, { bring_back('/short/', keys %short) });
    my ($first, @others) = sort keys %short;
    for (1, 2) {
        ended($t, 'TERM');
        sleep 11;
        $t->run();
        push @seen, status(get("/short/?sid=$first"));
        return unless $is_in_time->();
    }
    return (@seen, join ' ', grep { /^[AB]$/ } values %{{ bring_back('/short/', @others) }});
});
is($short[0], 0, 'sessions of another zone');
is($short[1], 'HIT', 'down for a part of the idle time');
is($short[2], 'HIT', 'used since then');
is($short[3], '', 'idle while nginx was down');

my @odd = grep { !/ is read, \d+ sessions/ } log_lines($t);
is(join("\n", @odd), '', 'nothing to complain about');
