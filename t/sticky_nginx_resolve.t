#!/usr/bin/perl

# Tests for route= and drain of servers whose addresses are resolved at run time (nginx 1.27.3 and
# later); without these, such a server bears the route of another one, or none, as soon as an
# address comes or goes.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::PeersDns qw/ dns_server set_names /;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite upstream_zone upstream_hash /);
plan(skip_all => 'servers do not come and go before nginx 1.27.3') unless $t->has_version('1.27.3');

my %upstreams = (plain => '', hash => 'hash $arg_r consistent;');
$t->plan(19 * keys %upstreams);

# Names and addresses in turn. A name stands twice, with a port and a route each.

my $upstreams = join '', map { <<"EOC" } sort keys %upstreams;
    upstream $_ {
        zone $_ 256k;
        $upstreams{$_}
        server one.test:%%PORT_8081%% resolve route=one;
        server 127.0.0.9:%%PORT_8081%% route=fixed;
        server two.test:%%PORT_8081%% resolve route=two drain;
        server one.test:%%PORT_8082%% resolve route=again;
        server 127.0.0.10:%%PORT_8081%% drain route=last;
        sticky route \$arg_r;
    }
EOC

my $listeners = join "\n        ",
    (map { "listen 127.0.0.$_:%%PORT_8081%%;" } 2 .. 10), 'listen 127.0.0.2:%%PORT_8082%%;',
    'listen 127.0.0.5:%%PORT_8082%%;';

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    resolver 127.0.0.1:%%PORT_8983_UDP%% valid=1s ipv6=off;

$upstreams
    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location ~ ^/(\\w+)\$ {
            proxy_pass http://\$1;
        }
    }

    server {
        $listeners
        server_name  localhost;

        location / {
            add_header X-Server \$server_addr:\$server_port;
            return 200;
        }
    }
}

EOC

set_names($t, 'one.test' => ['127.0.0.2'], 'two.test' => ['127.0.0.4']);
$t->run_daemon(\&dns_server, port(8983, udp => 1), $t->testdir());
$t->run();

my ($first, $second) = (port(8081), port(8082));

for my $upstream (sort keys %upstreams) {
    check($upstream, 2, 4, 'at first');
}

set_names($t, 'one.test' => ['127.0.0.5'], 'two.test' => ['127.0.0.6']);
for my $upstream (sort keys %upstreams) {
    check($upstream, 5, 6, 'with other addresses');
}

# The new processes take the addresses over.
$t->reload();
eventually(sub { $t->read_file('error.log') =~ /worker process \d+ exited with code/ });
for my $upstream (sort keys %upstreams) {
    check($upstream, 5, 6, 'after a reload');
}

for my $upstream (sort keys %upstreams) {
    is(visits($upstream, 'nobody', 12) =~ /127\.0\.0\.(?:6|10):/ ? 'draining' : 'not', 'not',
        "$upstream: an unknown route");
}

sub check {
    my ($upstream, $one, $two, $when) = @_;

    ok(eventually(sub { visits($upstream, 'one', 4) eq "127.0.0.$one:$first" }),
        "$upstream: resolved, $when");
    ok(eventually(sub { visits($upstream, 'two', 4) eq "127.0.0.$two:$first" }),
        "$upstream: resolved and draining, $when");
    ok(eventually(sub { visits($upstream, 'again', 4) eq "127.0.0.$one:$second" }),
        "$upstream: the same name with another port, $when");
    is(visits($upstream, 'fixed', 4), "127.0.0.9:$first", "$upstream: an address, $when");
    is(visits($upstream, 'last', 4), "127.0.0.10:$first", "$upstream: the last one, $when");
    is(join(' ', grep { /127\.0\.0\.(?:$two|10):/ } split / /, visits($upstream, '', 24)), '',
        "$upstream: nothing new to draining servers, $when");
}

sub visits {
    my ($upstream, $route, $count) = @_;
    my %seen = map { served_by(get("/$upstream?r=$route&k=$_")) => 1 } 1 .. $count;
    return join ' ', sort keys %seen;
}
