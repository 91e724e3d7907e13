#!/usr/bin/perl

# Tests for all balancers of nginx under the directive, before and after their own lines, with and
# without a zone; without these, a session is lost in some order of lines, or the balancer no longer
# decides about requests without a session.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;

# Lines of the balancer, what a request must get: 'same' as without sticky, or 'any' server.
my @balancers = (
    [round_robin => '', 'same'],
    [least_conn => 'least_conn;', 'same'],
    [hash => 'hash $arg_key;', 'same'],
    [consistent => 'hash $arg_key consistent;', 'same'],
    [ip_hash => 'ip_hash;', 'same'],
    [random => 'random;', 'any'],
    [random_two => 'random two;', 'any'],
    [random_two_least => 'random two least_conn;', 'any'],
);

my $t = Test::Nginx->new()->has(qw/
    http proxy rewrite upstream_hash upstream_ip_hash upstream_least_conn upstream_random
    upstream_zone
/);

# It gives peers back in a way of its own.
push @balancers, [least_time => 'least_time header;', 'any']
    if $t->has_version('1.31.0') && $t->has_module('upstream_least_time');

# Per balancer one upstream without sticky, and four with it.
my ($upstreams, @cases) = ('');
for my $balancer (@balancers) {
    my ($name, $line, $answer) = @$balancer;
    for my $zone (0, 1) {
        my $reference = $name . ($zone ? '_zone' : '');
        $upstreams .= upstream($reference, $zone, $line);
        my %orders = ("${reference}_then_sticky" => [$line, 'sticky hash=index hide_cookie;'],
            "sticky_then_$reference" => ['sticky hash=index hide_cookie;', $line]);
        for my $upstream (sort keys %orders) {
            $upstreams .= upstream($upstream, $zone, @{ $orders{$upstream} });
            push @cases, { upstream => $upstream, reference => $reference, answer => $answer };
        }
    }
}

sub upstream {
    my ($name, $zone, @lines) = @_;
    unshift @lines, "zone $name 128k;" if $zone;
    my $lines = join "\n        ", @lines;
    return <<"EOC";
    upstream $name {
        $lines
        server 127.0.0.1:8081 weight=3;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083 weight=2;
    }
EOC
}

$t->plan(3 * @cases);

# One worker, or the sequences of round robin could not be compared.

$t->write_file_expand('nginx.conf', <<"EOC");

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
            add_header X-Status \$sticky_status;
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

$t->run();

my @ports = (port(8081), port(8082), port(8083));
my %sequence;

for my $case (@cases) {
    my $upstream = $case->{upstream};

    # Without a session: what the balancer would have done.

    my @given = map { get("/$upstream?key=$_") } 1 .. 12;
    if ($case->{answer} eq 'same') {
        my $reference = $case->{reference};
        $sequence{$reference}
            //= [map { served_by(get("/$reference?key=$_")) } 1 .. 12];
        is_deeply([map { served_by($_) } @given], $sequence{$reference},
            "$upstream: without a session as without sticky");
    } else {
        my $known = join '|', @ports;
        is(scalar(grep { served_by($_) =~ /^(?:$known)$/ } @given), 12,
            "$upstream: without a session to any of the servers");
    }
    is_deeply([map { status($_) } @given], [('NONE') x 12],
        "$upstream: requests without a session are seen");

    # With one: its server, whatever the balancer would have done.

    my @expected = map { ("$ports[$_] HIT") x 4 } 0 .. 2;
    my @steered;
    for my $index (0 .. 2) {
        for my $key (1 .. 4) {
            my $reply = get("/$upstream?key=$key", "Cookie: route=$index");
            push @steered, served_by($reply) . ' ' . status($reply);
        }
    }
    is_deeply(\@steered, \@expected, "$upstream: sessions hold");
}
