#!/usr/bin/perl

# Tests for promise 4, expiry is checked at look-up: a session past `expires` or `lifetime` is not
# found; without it, sessions that the application has forgotten keep their server for ever.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

use Time::HiRes qw/ sleep time /;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(14);

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    upstream idle {
        sticky mode=query expires=5s;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream life {
        sticky mode=query expires=5s lifetime=5s;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream worker {
        sticky mode=query expires=5s zone=off;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream long {
        sticky mode=query lifetime=1h;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        location /idle/ {
            proxy_pass http://idle/;
        }

        location /life/ {
            proxy_pass http://life/;
        }

        location /worker/ {
            proxy_pass http://worker/;
        }

        location /long/ {
            proxy_pass http://long/;
        }
    }
}

EOC

$t->run();

# Used, or shown in pages, more often than every fifth second, for longer than that.

my ($seen) = in_time(2, sub {
    my ($round, $is_in_time) = @_;
    my ($used, $unused, $shown) = map { "$_$round" } qw/ used unused shown /;
    my $start = time();
    my (%home, %statuses);
    for my $where (qw/ idle life worker long /) {
        for my $id ($used, $unused, $shown) {
            $home{"$where $id"} = served_by(get("/$where/", 'X-Page' => link_to($id)));
        }
    }
    while (time() - $start < 8) {
        return unless $is_in_time->();
        sleep 0.45;
        for my $where (qw/ idle life worker long /) {
            my $reply = get("/$where/?sid=$used");
            # After the first look-up that fails, nothing is asked of that session any more.
            my $status = served_by($reply) eq $home{"$where $used"} || status($reply) ne 'HIT'
                ? status($reply) : 'HIT elsewhere';
            push @{ $statuses{$where} }, $status;
            # Up to two seconds before its time, which is counted in whole ones.
            push @{ $statuses{"$where early"} }, $status if time() - $start < 2.9;
        }
        # The same server may show it, the other one may not change it: ask until it was the first.
        for (1 .. 2) {
            get('/idle/', 'X-Page' => link_to($shown));
        }
    }
    $statuses{shown} = status(get("/idle/?sid=$shown"));
    return { %statuses, used => $used, unused => $unused };
});
my %statuses = %$seen;
my ($used, $unused) = @statuses{qw/ used unused /};

is(all($statuses{idle}), 'HIT', 'kept alive by use, far beyond expires');
is(all($statuses{worker}), 'HIT', 'kept alive by use, zone=off');
is(all($statuses{long}), 'HIT', 'default expires, long lifetime');
is($statuses{shown}, 'HIT', 'kept alive by the pages of its server');
is(status(get("/idle/?sid=$unused")), 'EXPIRED', 'idle for longer than expires');
is(status(get("/worker/?sid=$unused")), 'EXPIRED', 'idle for longer than expires, zone=off');
is(status(get("/long/?sid=$unused")), 'HIT', 'idle for less than the default hour');

is(all($statuses{'life early'}), 'HIT', 'found within lifetime');
is($statuses{life}[-1], 'EXPIRED', 'in constant use, but past lifetime');
is(status(get("/life/?sid=$unused")), 'EXPIRED', 'unused and past lifetime');

# A session that is over has no server: the next one that hands out the id gets it.

is(status(get("/idle/?sid=$unused")), 'EXPIRED', 'a request does not bring it back');

my $reply = get('/idle/', 'X-Page' => link_to($unused));
ok(holds($reply, "/idle/?sid=$unused"), 'learned anew');
$reply = get("/life/?sid=$used", 'X-Page' => link_to($used));
ok(holds($reply, "/life/?sid=$used"), 'learned anew, with the request that brought it');

# A second after the limit at most.

sleep 6.05;
is(status(get("/idle/?sid=$unused")), 'EXPIRED', 'and over again');

# The statuses of all requests, without repetitions.
sub all {
    my %seen = map { $_ => 1 } @{ $_[0] };
    return join ' ', sort keys %seen;
}
