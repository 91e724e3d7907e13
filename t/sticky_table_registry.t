#!/usr/bin/perl

# Tests for the numbers that stand for servers in a zone: many more servers come and go than a zone has
# numbers for, and no session meets a server that is not its own. Without this, the sessions of a server
# that has left go on at one that has never seen them.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;
use Sticky::Traffic;

# A zone of 64k has 128 numbers.
use constant NUMBERS => 128;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(11);

$t->write_file_expand('backends.conf', backends());
servers('old', 40);
my $conf = <<'EOC';

%%TEST_GLOBALS%%

daemon off;

worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    error_log %%TESTDIR%%/error.log notice;

    include backends.conf;

    upstream u {
        sticky mode=query zone=u:64k;
        server 127.0.0.1:8081 route=stays;
        include servers.conf;
    }

    # The same servers, in the same zone.
    upstream other {
        sticky mode=query zone=u:64k;
        server 127.0.0.1:8082 route=stays;
        server 127.0.0.1:8083;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        location / {
            proxy_pass http://u;
        }

        location /other {
            proxy_pass http://other;
        }
    }
}

EOC
$t->write_file_expand('nginx.conf', $conf);

$t->run();

# One route, one zone, two upstreams: two servers.

my %other = hand_out('/other', 'id', 40);
my %home = one_each('/', 'id', 8 * 41);
my %here = map { $_ => $home{$_} } grep { $home{$_} eq 'A' } keys %home;
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'sessions hold');
is(differing(\%other, { bring_back('/other', keys %other) }), 0, 'those of the other upstream');
is(scalar(keys %here), 8, 'those of the server that stays');

# All servers of the old configuration but one leave, and their sessions with them: every number but
# these is needed anew.

servers('new', NUMBERS - 3);
reload_with($t, $conf);
is(differing(\%here, { bring_back('/', keys %here) }), 0, 'the server that stays keeps its sessions');
is(differing(\%other, { bring_back('/other', keys %other) }), 0, 'and the other upstream its own');

# The sessions of servers that have left are balanced, and begin anew where they are.
my %gone = map { $_ => 1 } grep { !$here{$_} } keys %home;
my %statuses = bring_back('/', keys %gone);
is(scalar(grep { $_ eq 'HIT' } values %statuses), 0, 'none of the others is at a server of its own');
ok(scalar(grep { $_ eq 'GONE' } values %statuses), 'they are known');

# Each worker logs once that the zone has no number left for some of the new servers. When the sweeps
# have found numbers without sessions, each server has one.

my $lost;
for my $round (1 .. 20) {
    my %new = one_each('/', "new$round-", NUMBERS - 2);
    $lost = differing(\%new, { bring_back('/', keys %new) }) or last;
    # A session that met a server without a number stays where it was.
    bring_back('/', keys %gone);
    select undef, undef, undef, 1;
}
is($lost, 0, 'numbers without sessions are given to new servers');
is(differing(\%here, { bring_back('/', keys %here) }), 0, 'the sessions of the one that stays hold');

# More than there can be.

servers('many', NUMBERS + 20);
reload_with($t, $conf);
one_each('/', 'many', 2 * (NUMBERS + 20));
my @lines = $t->read_file('error.log') =~ /\[error\] .*?(sticky: the zone knows .*)$/mg;
is($lines[-1], 'sticky: the zone knows as many servers as it can, sessions of others are not kept, '
    . 'a larger zone can know more, zone "u", upstream "u"', 'one that is too small says so');
is(differing(\%here, { bring_back('/', keys %here) }), 0, 'those that have a number keep it');

# Has so many ids handed out, one by a page, so that the balancer gives each to the next server.
sub one_each {
    my ($uri, $prefix, $count) = @_;
    my @ids = map { "$prefix$_" } 1 .. $count;
    my @replies = pipelined(map {
        "GET $uri HTTP/1.1\r\nHost: localhost\r\nX-Page: <a href=?sid=$_>\r\n\r\n"
    } @ids);
    return map { $ids[$_] => served_by($replies[$_] // '') } 0 .. $#ids;
}

sub servers {
    my ($name, $count) = @_;
    my @ports = (port(8082), port(8083));
    my $lines = join '', map { "server 127.0.0.1:$ports[$_ % 2] route=$name$_;\n" } 1 .. $count;
    $t->write_file('servers.conf', $lines);
}
