#!/usr/bin/perl

# Tests for docs/upgrade-from-nginx-sticky-module-ng.md; without them, the page could promise that
# cookies of that module are still good when they are not.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Configuration qw/ prepare verdict_on_upstream /;
use Sticky::Upgrade;

use Digest::MD5 qw/ md5_hex /;

my $page = 'nginx-sticky-module-ng';
my @directives = directives($page);
my @refused = (
    'name=a name=b', 'hash=md5x', 'no_fallbackx', 'text=rawx', 'delimiter=.', 'text=raw hmac_key=x',
);

my $t = Test::Nginx->new()->has(qw/ http proxy upstream_least_conn upstream_zone /)
    ->plan(17 + @directives + @refused);

start($t, 3);

# What that module made of the servers.
my %old = map { chr(64 + $_) => 'route=' . md5_hex('127.0.0.1:' . port(8080 + $_)) } 1 .. 3;

for my $mark ('nginx before', 'nginx after') {
    $t->write_file_expand('nginx.conf', runnable(block($page, $mark)))->run();

    my $first = get('/');
    my $letter = served_by($first);
    like($letter, qr/^[ABC]$/, "$mark: answered");
    is(values_of($first), $old{$letter}, "$mark: the cookie is that of the other module");
    is_deeply(
        { map { $_ => letters(4, '/', Cookie => $old{$_}) } sort keys %old },
        { A => 'AAAA', B => 'BBBB', C => 'CCCC' },
        "$mark: cookies of the other module reach their servers"
    );
    is(values_of(get('/', Cookie => $old{C})), $old{C}, "$mark: the same cookie comes back");
    cmp_ok(letters(6, '/') =~ tr/ABC//, '==', 6, "$mark: new visitors are served");
    my %reached = map { $_ => 1 } split //, letters(6, '/');
    is(keys %reached, 3, "$mark: by all servers") if $mark =~ /before/;

    $t->stop();
}

like($t->read_file('sticky.log'), qr/sticky=NEW$(?s:.*)sticky=HIT$/m, 'the log tells');
my $conf = runnable(block($page, 'nginx after'));
$t->write_file_expand('nginx.conf', $conf)->run();
get('/', Cookie => 'route=0123456789abcdef0123456789abcdef');
get('/');
get('/', Cookie => $old{A});
$t->stop();
is(status_of($t, 3), 'MISS NEW HIT', 'the log tells unknown, new and known cookies apart');

# The value of a server that was written as a name, given by hand.
my ($server, $value) = map { /^server (\S+) route=(\w+);$/ ? ($1, $2) : () } @directives;
is($value, md5_hex('backend.example:8080'), 'the value by hand is that of the name');
ok((grep { $_ eq 'sticky cookie route path=/;' } @directives), 'the directive for it');
$conf =~ s/sticky name=route [^;]*;/sticky cookie route path=\/;/ or die;
$conf =~ s/(127\.0\.0\.1:8081 )/${1}route=$value / or die;
$t->write_file_expand('nginx.conf', $conf);
$t->run();
ok(stays('A', '/', Cookie => "route=$value"), 'values by hand: the old cookie is good');
is(letters(4, '/', Cookie => $old{B}), 'BBBB', 'values by hand: those of the others, too');
$t->stop();

# Last: what nginx -t leaves behind looks like a nginx that runs.
prepare($t);
for my $line (@directives) {
    my @lines = $line =~ /^server/ ? ('sticky cookie route;', $line) : $line;
    is(verdict_on_upstream($t, @lines), '', "accepted: $line");
}
for my $words (@refused) {
    like(verdict_on_upstream($t, "sticky $words;"), qr/\[emerg\].* in case\.conf:2$/m,
        "refused: $words");
}
