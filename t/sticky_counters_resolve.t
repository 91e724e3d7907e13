#!/usr/bin/perl

# Tests for the counters of servers whose addresses change at run time (from nginx 1.27.3 on): without
# them, each address that DNS ever had is a server of its own, or none is counted.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Counters;
use Sticky::PeersDns qw/ dns_server set_names /;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite upstream_zone /);
plan(skip_all => 'servers do not come and go before nginx 1.27.3') unless $t->has_version('1.27.3');
$t->plan(9);

my $listeners = join "\n        ", map { "listen 127.0.0.$_:%%PORT_8081%%;" } 2 .. 6;

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    resolver 127.0.0.1:%%PORT_8982_UDP%% valid=1s ipv6=off;

    upstream query {
        zone query 256k;
        sticky mode=query;
        server shop.test:%%PORT_8081%% resolve;
        server 127.0.0.6:%%PORT_8081%%;
    }

    upstream cookie {
        zone cookie 256k;
        sticky;
        server shop.test:%%PORT_8081%% resolve;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  \$sticky_status  always;

        location /sticky { sticky_status; }

        location ~ ^/to/(?<upstream>\\w+)\$ {
            proxy_pass http://\$upstream/?\$args;
        }
    }

    server {
        $listeners
        server_name  localhost;
        default_type text/html;

        location / {
            add_header X-Server \$server_addr;
            return 200 '<a href="?sid=s\$request_id">x</a>';
        }
    }
}

EOC

set_names($t, 'shop.test' => [map { "127.0.0.$_" } 2, 3, 4]);
$t->run_daemon(\&dns_server, port(8982, udp => 1), $t->testdir());
$t->run();
ok(eventually(sub { 4 == servers('query') && 3 == servers('cookie') }), 'all addresses');

my ($name, $fixed) = map { "$_:" . port(8081) } 'shop.test', '127.0.0.6';
is(join(' ', grep { /:\d+$/ } sort keys %{ sums()->{query} }), "$fixed $name", 'servers as they are configured');

# Sessions at all of them, each of which comes back.

my $before = sums();
my (%sessions, %hits);
for (1 .. 20) {
    my $reply = get('/to/query');
    my ($id) = $reply =~ /sid=(\w+)/;
    my $server = served_by($reply) eq '127.0.0.6' ? $fixed : $name;
    $sessions{$server}++;
    $hits{$server} += status(get("/to/query?sid=$id")) eq 'HIT';
}
is($hits{$name}, $sessions{$name}, 'sessions come back');
my $words = sub { return join ' ', map { "$_=" . ($_[0]{$_} - ($before->{query}{$_} // 0)) } $fixed, $name };
my $counted;
eventually(sub { ($counted = $words->(sums()->{query})) eq "$fixed=$hits{$fixed} $name=$hits{$name}" });
is($counted, "$fixed=$hits{$fixed} $name=$hits{$name}", 'hits of a name are those of all its addresses');
ok(eventually(sub {
    my $own = sums()->{query};
    # Those before were handed out and did not come back.
    return ($own->{"$name/in_use"} // -1) == $sessions{$name} && ($own->{"$fixed/in_use"} // -1) == $sessions{$fixed};
}), 'and so are sessions');

my ($route) = map { /^(route=\w+)/ } cookies(get('/to/cookie'));
my $cookies = sums();
get('/to/cookie', Cookie => $route) for 1 .. 3;
ok(eventually(sub { added($cookies, sums(), 'cookie') eq "HIT=3 $name=3" }), 'mode=cookie');

# Other addresses of the same server.

set_names($t, 'shop.test' => [map { "127.0.0.$_" } 4, 5]);
ok(eventually(sub { 3 == servers('query') && 2 == servers('cookie') }), 'other addresses');
my $others = sums();
my ($id) = get('/to/query') =~ /sid=(\w+)/;
is(status(get("/to/query?sid=$id")), 'HIT', 'a session');
ok(eventually(sub { added($others, sums(), 'query') =~ /HIT=1 .*\Q:\E\d+=1$/ }), 'is counted for its server');

# How many servers are seen now.
sub servers {
    my ($upstream) = @_;
    my %seen = map { served_by($_) => 1 } map { get("/to/$upstream") } 1 .. 20;
    return scalar keys %seen;
}
