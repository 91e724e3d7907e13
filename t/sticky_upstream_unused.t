#!/usr/bin/perl

# Tests for an nginx that has the module loaded but no sticky in its configuration; without it being
# as an nginx without the module, nobody may load it for one of many sites.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Servers;

my $t = Test::Nginx->new()->has(qw/
    http proxy cache rewrite upstream_hash upstream_keepalive upstream_least_conn upstream_zone
/)->plan(9);

# Nobody listens on 8083.

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;
worker_processes 1;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    proxy_cache_path %%TESTDIR%%/cache keys_zone=cache:1m;

    log_format short '$uri $status $upstream_addr $upstream_status $body_bytes_sent';
    access_log %%TESTDIR%%/short.log short;

    upstream plain {
        server 127.0.0.1:8081 weight=2 max_fails=0;
        server 127.0.0.1:8082 max_fails=0;
    }

    upstream keepalive {
        zone keepalive 64k;
        least_conn;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        keepalive 4;
    }

    upstream least {
        least_conn;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream limited {
        server 127.0.0.1:8081 max_conns=1;
        server 127.0.0.1:8082;
    }

    upstream hash {
        hash $arg_key consistent;
        keepalive 2;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream failing {
        server 127.0.0.1:8083;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082 backup;
    }

    upstream dead {
        server 127.0.0.1:8083;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location /cached {
            proxy_cache cache;
            proxy_cache_valid any 1h;
            proxy_pass http://plain;
            add_header X-Cache $upstream_cache_status;
        }

        location ~ ^/(?<upstream>plain|keepalive|least|limited|hash|failing|dead)(?<rest>/.*)$ {
            proxy_pass http://$upstream$rest$is_args$args;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
    }
}

EOC

my ($first, $second) = (port(8081), port(8082));
$t->run_daemon(\&server, $_, $_) for $first, $second;

# All that is seen of one run, but for the date.

my $observe = sub {
    my ($t) = @_;
    my (@seen, @held);
    $t->run();
    $t->waitforsocket("127.0.0.1:$_") for $first, $second;

    for my $uri (
        ('/plain/?sid=1') x 6, ('/least/') x 3, ('/failing/') x 3, '/dead/',
        '/plain/redirect/?sid=2', '/plain/broken', ('/cached') x 2, '/missing',
        map { "/hash/?key=$_" } 1 .. 4
    ) {
        push @seen, get($uri, 'Cookie: route=0; sid=1');
    }
    push @seen, send_request('HEAD', '/plain/');

    my @before = map { ask($_, 'connections') } $first, $second;
    push @seen, get('/keepalive/') for 1 .. 6;
    push @seen, 'connections: '
        . join ' ', map { ask(($first, $second)[$_], 'connections') - $before[$_] } 0, 1;

    for my $upstream (qw/ least limited /) {
        my $held = get("/$upstream/hold", { start => 1 });
        eventually(sub { ask($first, 'held') || ask($second, 'held') });
        push @seen, map { get("/$upstream/") } 1 .. 4;
        ask($_, 'release') for $first, $second;
        local $/;
        push @seen, scalar <$held>;
        push @seen, map { get("/$upstream/") } 1 .. 4;
    }

    $t->stop();
    push @seen, $t->read_file('short.log');
    unlink $t->testdir() . '/short.log';
    unlink glob $t->testdir() . '/cache/*';

    s/^Date: .*$/Date/mg for @seen;
    return \@seen;
};

my $loaded = $observe->($t);

my $text = $t->read_file('nginx.conf');
SKIP: {
    skip 'the module is built in', 1 unless $text =~ s/^load_module\s[^;]*sticky[^;]*;//mg
        || $text =~ s/\bload_module\s[^;]*sticky[^;]*;//g;
    $t->write_file('nginx.conf', $text);
    is_deeply($loaded, $observe->($t), 'the same replies with and without the module');
}

# And they are what nginx promises.

is_deeply([map { served_by($_) } @$loaded[0 .. 5]],
    [map { ($first, $second, $first)[$_ % 3] } 0 .. 5], 'weights');
is(scalar(grep { /^Set-Cookie/mi } @$loaded), 0, 'no cookie');
is(scalar(grep { /sticky/i } @$loaded), 0, 'nothing sticky');
my ($connections) = grep { /^connections/ } @$loaded;
is($connections, 'connections: 1 1', 'connections are kept');
is(scalar(grep { /^X-Cache: HIT/m } @$loaded), 1, 'cached');
like($loaded->[12], qr/^HTTP\S+ 502 /, 'no server');
is(scalar(grep { !defined } @$loaded), 0, 'every request is answered');
unlike($t->read_file('error.log'), qr/\[(?:crit|alert|emerg)\]/, 'nothing wrong in the log');
