#!/usr/bin/perl

# Tests for answers that no client gets, to mirrored requests and to nginx's own refreshing of its
# cache; without it, they fill the table with sessions that nobody has.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;

my $t = Test::Nginx->new()->has(qw/http proxy cache mirror/)->plan(7);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    log_format ids '$request $request_id';
    proxy_cache_path  %%TESTDIR%%/cache  keys_zone=cache:1m;

    upstream u {
        sticky mode=query learn=html,header:X-Id;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    server {
        listen      127.0.0.1:8080;
        add_header  X-Status  $sticky_status  always;

        location / {
            proxy_pass http://u;
        }

        location /mirrored {
            mirror /mirror;
            proxy_pass http://127.0.0.1:8081/plain;
        }

        location = /mirror {
            internal;
            proxy_pass http://u/first;
        }

        location /cached {
            proxy_cache cache;
            proxy_cache_valid 1s;
            proxy_cache_use_stale updating;
            proxy_cache_background_update on;
            proxy_pass http://u/first;
        }
    }

    server {
        listen      127.0.0.1:8081;
        listen      127.0.0.1:8082;
        access_log  %%TESTDIR%%/backends.log ids;
        default_type text/html;

        location / { return 200 "a page"; }
        location /first {
            add_header X-Id header$request_id;
            return 200 '<a href="?sid=page$request_id">';
        }
    }
}

EOC

my $dir = $t->testdir();
$t->run();

http_get('/first?n=0');
my ($seen) = ids(0, 1);
like(status(get("/?sid=page$seen")), qr/HIT/, 'an answer that is seen');

http_get('/mirrored?n=1');
my ($mirrored) = ids(1, 1);
is(status(get("/?sid=$_$mirrored")), 'MISS', "mirror, $_") for qw/ page header /;

# The cache shows what it has, and asks for what is new behind the client's back.

http_get('/cached?n=2');
my ($cached) = ids(2, 1);
is(status(get("/?sid=page$cached")), 'HIT', 'an answer on its way into the cache');
select undef, undef, undef, 2.1;
like(http_get('/cached?n=2'), qr/sid=page$cached/, 'what the cache has');
my (undef, $new) = ids(2, 2);
is(status(get("/?sid=$_$new")), 'MISS', "refreshed cache, $_") for qw/ page header /;

# The first ids that the servers have given for this number, when there are so many.
sub ids {
    my ($number, $wanted) = @_;
    my @ids;
    my $path = "$dir/backends.log";
    for (1 .. 600) {
        open my $log, '<', $path or die "No log: $!";
        @ids = map { m!^GET /first\S*n=$number \S+ (\w+)$! } <$log>;
        return @ids if @ids >= $wanted;
        select undef, undef, undef, 0.1;
    }
    return (@ids, ('none') x $wanted);
}
