package Sticky::Killed;

# What the tests have in common whose workers die: an nginx with four of them and a zone that is
# nearly full, servers in an nginx of their own, which nobody kills, clients that do not mind when
# their connection ends, and what must hold afterwards.

use strict;
use warnings;

use Exporter qw/ import /;
use Test::More ();

use Test::Nginx;
use Sticky::Client;
use Sticky::Nginx;
use Sticky::Pages;
use Sticky::Traffic;

our @EXPORT = qw/ prepare has_test_points die_at deaths clients is_sound SESSIONS /;

# Most of the 3,300 words of the zone; ids that are only handed out go through the rest.
use constant SESSIONS => 2500;

use constant CRLF => "\x0d\x0a";

# Writes the configuration; starts the servers.
sub prepare {
    my ($t) = @_;

    $t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

worker_processes 4;

include die_at.conf;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    access_log off;
    keepalive_requests 100000;

    upstream u {
        sticky mode=query zone=z:64k;
        server 127.0.0.1:8081 max_fails=0;
        server 127.0.0.1:8082 max_fails=0;
    }

    server {
        # Each worker gets its part of the connections.
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;
        add_header   X-Worker  $pid            always;

        location / {
            proxy_pass http://u;
        }
    }
}

EOC
    without_debug($t);
    $t->write_file('die_at.conf', '');
    apart($t);
}

# Whether the module under test has test points, see src/core/table/test_points.rs: `make test-killed`
# says so.
sub has_test_points { return $ENV{TEST_NGINX_TEST_POINTS} }

# From now on each worker dies when it has come to the test point for so many times; or no longer.
# True when the workers before are gone.
sub die_at {
    my ($t, $point, $times) = @_;
    my @old = workers($t);
    $t->write_file('die_at.conf', $point ? qq{env "STICKY_KILL_AT=$point:$times";\n} : '');
    $t->reload();
    return eventually(sub { !grep { kill 0, $_ } @old });
}

# Clients that go on until the file is there. They return: answers to requests with an id in use,
# those that came from another server or did not know the id, and ids that were handed out. Of the
# first and the last they also keep count while they work, see counted(), under the names `answers`
# and `ids`.
sub clients {
    my ($over, $home) = @_;
    my @ids = sort keys %$home;
    my $visitor = sub {
        my ($answers, $wrong) = (0, 0);
        while (!-e $over) {
            my @some = map { $ids[rand @ids] } 1 .. 10;
            my @replies = replies(map { request("/?sid=$_") } @some);
            count("$over.answers", scalar @replies);
            for my $n (0 .. $#replies) {
                $answers++;
                $wrong++ if status($replies[$n]) ne 'HIT'
                    || served_by($replies[$n]) ne $home->{ $some[$n] };
            }
        }
        return ($answers, $wrong, 0);
    };
    my $learner = sub {
        my ($who) = @_;
        my $ids = 0;
        for (my $n = 0; !-e $over; $n++) {
            my @requests = map {
                my $page = $_;
                my $links = join '', map { "<a href=?sid=$who-$n-$page-$_>" } 1 .. 8;
                request('/', "X-Page: $links" . CRLF);
            } 1 .. 20;
            my $more = 8 * replies(@requests);
            count("$over.ids", $more);
            $ids += $more;
        }
        return (0, 0, $ids);
    };
    return (
        (map { in_background($visitor) } 1 .. 2),
        (map { my $who = $_; in_background(sub { $learner->($who) }) } 1 .. 2),
    );
}

# What must hold when no worker dies any more, after so many deaths. Six tests.
sub is_sound {
    my ($t, $home, $killed) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    Test::More::ok(eventually(sub { workers($t) == 4 }), 'four workers again');
    my %serve;
    eventually(sub {
        my ($worker) = get('/') =~ /^X-Worker: (\d+)/m;
        $serve{$worker}++ if $worker;
        return keys %serve == 4;
    });
    Test::More::is(scalar keys %serve, 4, 'all of which serve');
    my $lost = differing($home, { bring_back('/', keys %$home) });
    Test::More::is($lost, 0, 'every session in use is where it was');
    my %new = hand_out('/', "new$killed-", 1);
    Test::More::is(differing(\%new, { bring_back('/', keys %new) }), 0, 'a new one is learned');

    Test::More::is(deaths($t), $killed, "$killed workers have been killed");
    my @alerts = $t->read_file('error.log') =~ /\[(?:alert|emerg|crit)\] (.*)$/mg;
    my @others = grep { !/exited on signal 9/ } @alerts;
    Test::More::is(join("\n", @others), '', 'nothing else is wrong');
}

# How many workers have been killed.
sub deaths {
    my ($t) = @_;
    return scalar(() = $t->read_file('error.log') =~ /exited on signal 9/g);
}

sub request {
    my ($uri, $headers) = @_;
    return join CRLF, "GET $uri HTTP/1.1", 'Host: localhost', ($headers // '') . CRLF;
}

# Those of the answers that have come before the connection ended.
sub replies {
    my @requests = @_;
    # The other end may die at any time.
    return eval { on_one_connection(@requests) };
}

1;
