#!/usr/bin/perl

# Tests for reloads in the middle of the day: ten in a row, each with another order of servers,
# another zone size or other limits, while four workers serve; without it a deployment is something
# that users notice: an error here, an empty cart there.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;
use Sticky::Traffic;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(16);

$t->write_file_expand('backends.conf', backends());

my $conf = sub {
    my (%change) = (servers => '8081 8083 8082', parameters => 'zone=z:256k', @_);
    my $servers = join "\n        ", map { "server 127.0.0.1:$_;" } split ' ', $change{servers};
    return <<"EOC";

%%TEST_GLOBALS%%

daemon off;

worker_processes 4;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    # Its debug messages would be most of the work.
    error_log %%TESTDIR%%/error.log notice;

    access_log off;

    include backends.conf;

    upstream u {
        sticky mode=query $change{parameters};
        $servers
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  \$sticky_status  always;

        location / {
            proxy_pass http://u;
            # The servers are reloaded, too: a connection that nginx keeps (by itself since 1.29.7)
            # could be one that its server closes at this moment.
            proxy_set_header Connection close;
        }
    }
}

EOC
};

$t->write_file_expand('nginx.conf', $conf->(servers => '8081 8082'));
$t->run();

# The zone is 0.9 full, so that what is learned meanwhile moves others from line to line.
my %home = hand_out('/', 'used', 800);
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'sessions in use');
hand_out('/', 'filling', 13_000);

# Clients that know their servers, and come again and again until the test is over.
my $over = $t->testdir() . '/over';
my @clients = map { my $n = $_; in_background(sub { return visits($over, $n) }) } 0, 1;

# While the zone is the same, nothing is lost of what is learned meanwhile, not even at a server
# that the old workers do not know: for a moment they serve beside the new ones.
my $newcomers = in_background(sub { return newcomers("$over.same", "$over.learned") });
for (
    ['another order',       servers => '8082 8081'],
    ['a server joins',      servers => '8083 8082 8081'],
    ['another order again', servers => '8081 8083 8082'],
    ['another expires',     parameters => 'zone=z:256k expires=3h'],
    ['nothing changed'],
) {
    my ($what, %change) = @$_;
    # The age of a configuration and of a session is counted in seconds.
    select undef, undef, undef, 1.1 if $what =~ /joins/;
    ok(reload_with($t, $conf->(%change)), "reload: $what");
}
eventually(sub { counted("$over.learned") > 20 });
$t->write_file('over.same', '');
my ($learned, $wrong) = split ' ', outcome($newcomers);
cmp_ok($learned, '>', 20, "$learned sessions began meanwhile");
is($wrong, 0, 'and were known from then on');

for (
    ['a larger zone',           parameters => 'zone=z:512k'],
    ['smaller again',           parameters => 'zone=z:256k'],
    ['larger, another order',   parameters => 'zone=z:1m', servers => '8083 8081 8082'],
    ['default expires',         parameters => 'zone=z:1m expires=1h'],
    ['smaller than at first',   parameters => 'zone=z:192k'],
) {
    my ($what, %change) = @$_;
    ok(reload_with($t, $conf->(%change)), "reload: $what");
}

eventually(sub { counted("$over.requests") > 800 });
$t->write_file('over', '');
my ($count, $failed, $moved) = (0, 0, 0);
for (@clients) {
    my @result = split ' ', outcome($_);
    $count += $result[0];
    $failed += $result[1];
    $moved += $result[2];
}
cmp_ok($count, '>', 800, "$count requests");
is($failed, 0, 'none has failed');
is($moved, 0, 'none has met another server');

# Every other session, one after the other: requests, those without an answer of a server, and those
# that met another server than before or whose session was not known.
sub visits {
    my ($over, $n) = @_;
    my @result = (0, 0, 0);
    my @mine = grep { /(\d+)/ && $1 % 2 == $n } sort keys %home;
    while (!-e $over) {
        for my $id (@mine) {
            my $reply = get("/?sid=$id");
            $result[0]++;
            count("$over.requests");
            if (served_by($reply) eq '') {
                $result[1]++;
            } elsif (status($reply) ne 'HIT' || served_by($reply) ne $home{$id}) {
                $result[2]++;
            }
            last if -e $over;
        }
    }
    return @result;
}

# Sessions that begin, each of which is asked for at once and at the end. Those that begin at the
# server that has joined cannot be served by an old worker, but are still there afterwards.
sub newcomers {
    my ($over, $learned) = @_;
    my %began;
    my $wrong = 0;
    for (my $n = 0; !-e $over; $n++) {
        my $id = "new$n";
        $began{$id} = served_by(get('/', 'X-Page' => link_to($id)));
        count($learned);
        my $reply = get("/?sid=$id");
        next if $began{$id} eq 'C' && status($reply) eq 'GONE';
        $wrong++ if status($reply) ne 'HIT' || served_by($reply) ne $began{$id};
    }
    $wrong += grep { my $r = get("/?sid=$_"); status($r) ne 'HIT' || served_by($r) ne $began{$_} }
        keys %began;
    return (scalar keys %began, $wrong);
}
