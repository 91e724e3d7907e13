#!/usr/bin/perl

# Tests for the parameters of a server beside the directive: its weight is that of the balancer
# alone, `down` moves sessions and gives them back, and what nginx does not know stays an error;
# without them steered requests disturb the balance, or a server that was down has lost its
# sessions.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Configuration qw/ verdict_on_upstream /;

use Digest::MD5 qw/ md5_hex /;

my $t = Test::Nginx->new()->has(qw/
    http proxy rewrite upstream_least_conn upstream_zone
/)->plan(16);

# Lines of the balancer, and what is said of the second server.
sub configuration {
    my ($second) = @_;
    my $upstreams = join '', map {
        my ($name, $lines) = @$_;
        <<"EOC" } ['plain', ''], ['zone', 'zone zone 64k;'], ['least', 'zone least 64k; least_conn;'];
    upstream $name {
        $lines
        sticky;
        server 127.0.0.1:8081 weight=5;
        server 127.0.0.1:8082 weight=2 $second;
        server 127.0.0.1:8083;
    }
EOC
    return <<"EOC";

%%TEST_GLOBALS%%

daemon off;
worker_processes 1;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

$upstreams
    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location ~ ^/(\\w+)\$ {
            proxy_pass http://\$1;
            add_header X-Status \$sticky_status always;
        }
    }

    server {
        listen 127.0.0.1:8081;
        listen 127.0.0.1:8082;
        listen 127.0.0.1:8083;

        location / {
            add_header X-Server \$server_port;
            return 200;
        }
    }
}

EOC
}

$t->write_file_expand('nginx.conf', configuration(''));
$t->run();

my @ports = map { port($_) } 8081 .. 8083;
my @cookies = map { 'Cookie: route=' . md5_hex("127.0.0.1:$_") } @ports;

# The weights are 5, 2 and 1, whatever is steered in between.

for my $upstream (qw/ plain zone least /) {
    my @order = map { (split / /, visit("/$upstream"))[0] } 1 .. 8;
    my %share;
    $share{$_}++ for @order;
    is_deeply([@share{@ports}], [5, 2, 1], "$upstream: weights");

    my @steered;
    my @between = map {
        push @steered, visit("/$upstream", $cookies[$_ % 3]) for 1 .. $_ % 4;
        (split / /, visit("/$upstream"))[0];
    } 1 .. 8;
    is_deeply(\@between, \@order, "$upstream: steered requests do not take a turn");
    is(scalar(grep { / HIT$/ } @steered), 12, "$upstream: steered whatever the weight");
}

# A server goes down, and comes up again.

sub reload {
    my ($nginx, $second) = @_;
    my @workers = $nginx->read_file('error.log') =~ /start worker process (\d+)/g;
    $nginx->write_file_expand('nginx.conf', configuration($second));
    $nginx->reload();
    eventually(sub { !grep { kill 0, $_ } @workers });
}

reload($t, 'down');
for my $upstream (qw/ plain zone /) {
    like(visit("/$upstream", $cookies[1]), qr/^(?!$ports[1])\d+ GONE$/,
        "$upstream: server is down");
    is(visit("/$upstream", $cookies[2]), "$ports[2] HIT", "$upstream: sessions of another stay");
}
reload($t, '');
is(visit("/$_", $cookies[1]), "$ports[1] HIT", "$_: server is up again") for qw/ plain zone /;

# slow_start= belongs to the commercial nginx: it is refused with the directive as without.

my @parameter = ('server 127.0.0.1:9 slow_start=30s;');
Sticky::Configuration::prepare($t);
my ($without, $with) = map { verdict_on_upstream($t, @parameter, @$_) =~ s/case\.conf:\d+/case/gr }
    [], ['sticky;'];
is($with, $without, 'slow_start: as without the directive');
