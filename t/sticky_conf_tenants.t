#!/usr/bin/perl

# Tests for nginx-conf/tenants.conf with 1,000 tenants; without them a flood at one tenant, or a zone
# of one that is full, could take sessions of another, or show a tenant what is not his.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;
use Sticky::Traffic;
use Sticky::Readme qw/ published_text /;

use JSON::PP qw/ decode_json /;

use constant {
    TENANTS => 1000,
    FLOODED => 500,
    # More than there is room for in a zone of 64 KB.
    IDS => 5000,
    CRLF => "\x0d\x0a",
};

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite map /)->plan(15);

my $text = published_text('tenants.conf');
ok($text =~ s/^load_module modules\/ngx_http_sticky_rs\.so;$/%%TEST_GLOBALS%%\ndaemon off;/m,
    'loads the module');
$text =~ s/^pid .*$//m;
mkdir $t->testdir() . '/logs';
my $tenants = qx{"$FindBin::Bin/../nginx-conf/tenants.sh" @{[TENANTS]}};
is(scalar(() = $tenants =~ /^upstream /mg), TENANTS, 'the script writes all of them');
$t->write_file_expand('tenants.inc', $tenants);
$t->write_file_expand('nginx.conf', $text);
without_debug($t);
apart($t);
$t->run();

# Sessions of some, among them the neighbours of the one that is flooded.

my @some = (1, 2, 10, 100, FLOODED - 1, FLOODED + 1, 999, TENANTS);
my %home;
for my $tenant (@some) {
    for my $id (map { "s$_" } 1 .. 20) {
        $home{"$tenant $id"} = served_by(of($tenant, '/', "X-Page: " . link_to($id)));
        of($tenant, "/?sid=$id");
    }
}
is(scalar(grep { /^[ABC]$/ } values %home), 20 * @some, 'each hands out sessions');
is(strayed(), 0, 'each keeps its own');
is(code(of(TENANTS + 1, '/')), 404, 'a tenant that is none');

# What each sees.

my ($page, $json) = map { of(10, $_) } '/sticky', '/sticky/json';
my $report = decode_json(http_content($json));
is(join(' ', map { $_->{name} } @{ $report->{upstreams} }), 'tenant10', 'a tenant sees his upstream');
is(join(' ', map { $_->{name} } @{ $report->{zones} }), 'tenant10', 'and his zone');
unlike(http_content($page), qr/tenant(?!10\b)\d/, 'of no other one there is a trace on the page');
is(code(of(10, '/sticky/json?upstream=tenant11')), 404, 'nor to be had');

# A flood: ids that the servers hand out, and ids that nobody has handed out.

my $before = zones();
is(scalar keys %$before, TENANTS, 'operators see all zones');
for my $round (1 .. IDS / 500) {
    on_one_connection(map {
        my $n = $_;
        my $links = join '', map { "<a href=\"?sid=f$round-$n-$_\">" } 1 .. 8;
        request(FLOODED, '/', "X-Page: $links");
    } 1 .. 63);
    on_one_connection(map { request(FLOODED, "/?sid=nobody$round-$_") } 1 .. 100);
}
my $after = zones();
cmp_ok($after->{ FLOODED() }{evicted}{unused}, '>', 0, 'the zone of the flooded one is full');
is(strayed(), 0, 'no session of another one is lost');
my @touched = grep {
    $_ != FLOODED && differing_counts($before->{$_}, $after->{$_});
} sort { $a <=> $b } keys %$before;
is(join(' ', @touched), '', 'no other zone is touched');
is(code(of(FLOODED, '/')), 200, 'the flooded one still answers');
my $new = served_by(of(FLOODED, '/', 'X-Page: ' . link_to('afterwards')));
is(served_by(of(FLOODED, '/?sid=afterwards')), $new, 'and learns');

sub request {
    my ($tenant, $uri, @headers) = @_;
    return join(CRLF, "GET $uri HTTP/1.1", "Host: tenant$tenant.example.com", @headers, '', '');
}

sub of {
    my ($tenant, $uri, @headers) = @_;
    my %headers = map { split /: /, $_, 2 } @headers;
    return get($uri, Host => "tenant$tenant.example.com", %headers);
}

# How many sessions are not where they were.
sub strayed {
    return scalar grep {
        my ($tenant, $id) = split;
        (served_by(of($tenant, "/?sid=$id")) // '') ne $home{$_};
    } keys %home;
}

sub zones {
    my $report = send_request('GET', '/json', { PeerAddr => '127.0.0.1:' . port(8090) });
    return { map { $_->{name} =~ s/^tenant//r => $_ } @{ decode_json(http_content($report))->{zones} } };
}

# What the sweep counts later is no touch.
sub differing_counts {
    my @counts = map {
        my $zone = $_;
        join ' ', $zone->{learned}, $zone->{refused}, @{ $zone->{evicted} }{qw/ in_use unused /};
    } @_;
    return $counts[0] ne $counts[1];
}
