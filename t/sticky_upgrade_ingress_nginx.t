#!/usr/bin/perl

# Tests for docs/upgrade-from-ingress-nginx.md; without them, a line that the page gives for an
# annotation might be refused, or do something else than the annotation did.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Configuration qw/ prepare verdict_on_upstream /;
use Sticky::Upgrade;

use Digest::MD5 qw/ md5_hex /;

my $page = 'ingress-nginx';
my @directives = directives($page);
my $after = block($page, 'nginx after');

my $t = Test::Nginx->new()->has(qw/ http proxy map split_clients upstream_zone /)->plan(24 + @directives);

start($t, 4);
my %cookie = map { chr(64 + $_) => md5_hex('127.0.0.1:' . port(8080 + $_)) } 1 .. 4;

$t->write_file_expand('nginx.conf', runnable($after))->run();
my $reply = get('/');
my $letter = served_by($reply);
is(values_of($reply), "INGRESSCOOKIE=$cookie{$letter}", 'the cookie');
like($reply, qr/^Set-Cookie: INGRESSCOOKIE=\w+; Expires=[^;]+; Path=\/; HttpOnly; SameSite=lax\x0d$/mi,
    'its attributes, without Secure over http');
is(values_of(get('/', Cookie => "INGRESSCOOKIE=$cookie{$letter}")), "INGRESSCOOKIE=$cookie{$letter}",
    'sent with each response');
ok(stays($_, '/', Cookie => "INGRESSCOOKIE=$cookie{$_}"), "a session stays at $_, the canary or not") for 'A' .. 'C';
my %count = (A => 0, B => 0, C => 0);
$count{$_}++ for split //, letters(40, '/');
is($count{C}, 4, 'the canary gets 2 of 20');
my $old = md5_hex('default-shop-8080' . '10.0.0.1:8080') . '|' . md5_hex('x');
like(letters(6, '/', Cookie => "INGRESSCOOKIE=$old"), qr/A.*B|B.*A/, 'a cookie of ingress-nginx is balanced');

# What the page says that the log shows.
get('/');
get('/', Cookie => "INGRESSCOOKIE=$cookie{B}");
get('/', Cookie => "INGRESSCOOKIE=$old");
$t->stop();
is(status_of($t, 3), 'NEW HIT MISS', 'the log tells');

# session-cookie-change-on-failure.
for my $case (
    ['', qr/^X-Server: [AB]/m, 'A|B', 'the cookie changes'],
    ['on_failure=keep', qr/^X-Server: [AB]/m, 'D', 'another server stands in, the cookie stays'],
    ['no_fallback', qr/^HTTP\S+ 502/, undef, 'refused'],
) {
    my ($word, $answers, $names, $what) = @$case;
    my $conf = runnable($after);
    $conf =~ s/127\.0\.0\.1:8083/127.0.0.1:8089/ or die;
    $conf =~ s/(httponly)/$1 $word/ or die;
    $t->write_file_expand('nginx.conf', $conf)->run();
    my $gone = md5_hex('127.0.0.1:' . port(8089));
    my $reply = get('/', Cookie => "INGRESSCOOKIE=$gone");
    like($reply, $answers, "a server that is gone, $word: $what");
    my %value = (%cookie, D => $gone);
    my ($now) = values_of($reply) =~ /=(\w+)/;
    ok(defined $names ? grep({ $value{$_} eq $now } split /\|/, $names) : !$now || $now eq $gone,
        "$word: the cookie");
    $t->stop();
}

# A canary that is removed.
my $without = runnable($after);
$without =~ s/^ +server 127\.0\.0\.1:8083[^\n]*\n//m or die;
$t->write_file_expand('nginx.conf', $without)->run();
like(letters(6, '/', Cookie => "INGRESSCOOKIE=$cookie{C}"), qr/A.*B|B.*A/, 'a canary that is gone: its sessions go on');
$t->stop();

# Canaries by header, cookie and share.
$t->write_file_expand('nginx.conf', runnable(block($page, 'nginx after canary')))->run();
like(letters(6, '/', 'X-Canary' => 'always'), qr/^[CD]+$/, 'header: always');
like(letters(6, '/', 'X-Canary' => 'never'), qr/^[AB]+$/, 'header: never');
like(letters(6, '/', Cookie => 'canary=always'), qr/^[CD]+$/, 'cookie: always');
like(letters(6, '/', 'X-Canary' => 'never', Cookie => 'canary=always'), qr/^[AB]+$/, 'the header comes first');
ok(stays('D', '/', 'X-Canary' => 'always', Cookie => "canary_route=$cookie{D}; stable=$cookie{B}"),
    'a session in the canary');
ok(stays('B', '/', 'X-Canary' => 'never', Cookie => "canary_route=$cookie{D}; stable=$cookie{B}"),
    'and one beside it');
my %pools;
for my $client (1 .. 200) {
    my $letters = letters(2, '/', 'User-Agent' => "client $client");
    $pools{ $letters =~ /^[AB]+$/ ? 'stable' : $letters =~ /^[CD]+$/ ? 'canary' : 'both' }++;
}
is($pools{both} // 0, 0, 'share: a client stays in its pool');
# 200 clients at 10 %: fewer than 4, or more than 40, are as good as impossible, and always the same ones.
my $share = $pools{canary} // 0;
ok($share > 4 && $share < 40, "share: $share of 200");
$t->stop();

# Last: what nginx -t leaves behind looks like a nginx that runs.
prepare($t);
is(verdict_on_upstream($t, $_), '', "accepted: $_") for @directives;
