#!/usr/bin/perl

# Tests for promise 5 at full size: a million invented ids, reflected by the servers into their
# links, go through a zone of 1 MB in which 5,000 sessions are in use; without it, whoever can type
# an address logs everybody out, fills the disk with log lines, or the memory with ids.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Traffic;

# Eight by a response.
use constant RESPONSES => 125_000;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite upstream_keepalive/)->plan(10);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

worker_processes 4;

events {
    accept_mutex off;
}

http {
    %%TEST_GLOBALS_HTTP%%

    access_log off;
    keepalive_requests 1000000;
    keepalive_timeout 1h;

    map $server_port $letter {
        %%PORT_8081%%  A;
        %%PORT_8082%%  B;
    }

    # An application that writes the id that it is sent into its links, and seven more like it.
    server {
        listen  127.0.0.1:8081;
        listen  127.0.0.1:8082;
        default_type text/html;
        add_header X-Server $letter;

        location / {
            return 200 "<a href=?sid=$arg_sid><a href=?sid=${arg_sid}b>
                <a href=?sid=${arg_sid}c><a href=?sid=${arg_sid}d><a href=?sid=${arg_sid}e>
                <a href=?sid=${arg_sid}f><a href=?sid=${arg_sid}g><a href=?sid=${arg_sid}h>
                <!-- end -->";
        }

        location /page {
            return 200 $http_x_page;
        }
    }

    upstream u {
        sticky mode=query zone=flooded:1m;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        keepalive 16;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        location / {
            proxy_pass http://u;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
    }
}

EOC

without_debug($t);
$t->run();

my %home = hand_out('/page', 'used', 5000);
is(differing(\%home, { bring_back('/page', keys %home) }), 0, '5,000 sessions in use');

# Buffers, keepalive connections and pools have their size after the first of it.
is(flood(0, RESPONSES / 5), RESPONSES / 5, 'the first 200,000 ids');
my $before = anonymous_memory(workers($t));

is(flood(RESPONSES / 5, RESPONSES), RESPONSES * 4 / 5, 'the other 800,000');
my $after = anonymous_memory(workers($t));
is(scalar workers($t), 4, 'four workers');

is(differing(\%home, { bring_back('/page', keys %home) }), 0,
    'every session in use is where it was');

# One byte kept for each id would be 781 KB. A connection more or less is some 10 KB.
cmp_ok($after - $before, '<', 512, "memory: $before KB before, $after KB after");

my @full = $t->read_file('error.log') =~ /\[error\].*the session table is full.*zone "flooded"/g;
cmp_ok(scalar @full, '>=', 1, 'the log tells that the table is full');
my $minutes = 1 + int((time() - $^T) / 60);
cmp_ok(scalar @full, '<=', $minutes, 'once a minute at most');
my @others = grep { !/the session table is full/ }
    $t->read_file('error.log') =~ /^.*\[(?:warn|error|crit|alert|emerg)\].*$/mg;
is(join("\n", @others), '', 'and nothing else');

my %new = hand_out('/page', 'new', 8);
is(differing(\%new, { bring_back('/page', keys %new) }), 0,
    'new sessions are learned all the same');

# Four clients, each of which sends its part of the ids; how many answers they got.
sub flood {
    my ($from, $to) = @_;
    my $part = ($to - $from) / 4;
    my @clients = map {
        my $first = $from + $_ * $part;
        in_background(sub {
            return send_all($first, $first + $part - 1, '<!-- end -->', sub {
                return "GET /?sid=x$_[0] HTTP/1.1\r\nHost: localhost\r\n\r\n";
            });
        });
    } 0 .. 3;
    my $answers = 0;
    $answers += outcome($_) for @clients;
    return $answers;
}

# Kilobytes of the processes that are theirs alone: not of shared zones, not of files.
sub anonymous_memory {
    my $sum = 0;
    for my $pid (@_) {
        open my $status, '<', "/proc/$pid/status" or next;
        local $/;
        $sum += <$status> =~ /^RssAnon:\s*(\d+)/m ? $1 : 0;
    }
    return $sum;
}
