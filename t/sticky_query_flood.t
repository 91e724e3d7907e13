#!/usr/bin/perl

# Tests for promise 5, a flood does no harm: the sessions that are in use outlive any number of ids
# that are only handed out, with one line in the log; without it, a crawler that follows the links
# of the site logs everybody out.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;
use Sticky::Traffic;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(14);

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    # The debug log would be most of the work.
    error_log %%TESTDIR%%/error.log notice;

    access_log off;
    keepalive_requests 100000;

    include backends.conf;

    upstream small {
        sticky mode=query zone=small:64k;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream smallest {
        sticky mode=query zone=smallest:32k;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream large {
        sticky mode=query;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        location /small/ {
            proxy_pass http://small/;
        }

        location /smallest/ {
            proxy_pass http://smallest/;
        }

        location /large/ {
            proxy_pass http://large/;
        }
    }
}

EOC

$t->run();

for my $case (['small', 400], ['smallest', 100]) {
    my ($where, $sessions) = @$case;
    my $uri = "/$where/";

    # Sessions in use: eight ids in a page, then a request with each.
    my %home = hand_out($uri, 'used', $sessions);
    my %confirmed = bring_back($uri, keys %home);
    is(differing(\%home, \%confirmed), 0, "$where: $sessions sessions in use");

    # Ten times what the zone can hold.
    my $flood = $where eq 'small' ? 32_000 : 12_000;
    my %flood = hand_out($uri, 'flood', $flood);
    is(scalar keys %flood, $flood, "$where: $flood ids handed out");
    my $full = full($t, $where);
    cmp_ok($full, '>=', 1, "$where: the log tells that the table is full");
    cmp_ok($full, '<=', 1 + (time() - $^T) / 60, "$where: once a minute at most");

    my %after = bring_back($uri, keys %home);
    is(differing(\%home, \%after), 0, "$where: every session in use is where it was");

    # What has been handed out last is there, or the flood would have found the table shut. Ages
    # are counted in seconds: those of the flood shall all be older.
    select undef, undef, undef, 1.1;
    my %new = hand_out($uri, 'new', 8);
    my %found = bring_back($uri, keys %new);
    is(differing(\%new, \%found), 0, "$where: new sessions are learned all the same");
}

# Eight links of one response, and no more; t/sticky_learn_places.t has the rest of the rule.

my @nine = map { "nine$_" } 1 .. 9;
get('/large/', 'X-Page' => join '', map { "<a href='?sid=$_'>" } @nine);
is(join(' ', map { status(get("/large/?sid=$_")) } @nine), 'HIT ' x 8 . 'MISS',
    'eight links are learned from one response');
get('/large/', 'X-Link' => join(', ', map { "</?sid=h$_>; rel=next" } @nine),
    'X-Page' => link_to('page'));
is(join(' ', map { status(get("/large/?sid=$_")) } (map { "h$_" } @nine), 'page'),
    'HIT ' x 8 . 'MISS HIT', 'and eight of its header');

sub full {
    my ($t, $zone) = @_;
    my @lines = $t->read_file('error.log') =~ /\[error\].*the session table is full.*zone "$zone"/g;
    return scalar @lines;
}
