#!/usr/bin/perl

# Tests for docs/upgrade-from-angie.md; without them, cookies that Angie has given out might lead to
# another server, or a parameter of Angie be refused without a word of what to write instead.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Configuration qw/ prepare verdict_on_upstream /;
use Sticky::Upgrade;

use Digest::MD5 qw/ md5_hex /;

my $page = 'angie';
my @directives = directives($page);
my $before = block($page, 'angie before');
my $after = block($page, 'nginx after');

my $t = Test::Nginx->new()->has(qw/ http proxy upstream_least_conn upstream_zone /)->plan(21 + @directives);

# What Angie's ngx_sticky_hash() makes of sid= and the secret.
my ($secret) = $before =~ /sticky_secret (\S+);/ or die "no secret\n";
my %cookie = (A => 'srv_id=' . md5_hex("a$secret"), B => 'srv_id=' . md5_hex("b$secret"));

start($t, 2);
$t->write_file_expand('nginx.conf', runnable($after))->run();

my $reply = get('/');
my $letter = served_by($reply);
is(values_of($reply), $cookie{$letter} // 'none', 'cookie: the value is that of Angie');
like(
    $reply,
    qr/^Set-Cookie: srv_id=\w+; expires=[^;]+; max-age=3600; httponly; samesite=lax; path=\/\x0d$/m,
    'cookie: its attributes'
);
ok(stays($_, '/', Cookie => $cookie{$_}), "cookie: that of $_ is followed") for sort keys %cookie;
is(values_of(get('/', Cookie => $cookie{B})), $cookie{B}, 'cookie: and sent back');
like(letters(6, '/', Cookie => 'srv_id=' . md5_hex('b')), qr/A.*B|B.*A/, 'cookie: one without the secret is not');

$reply = get('/app/', 'X-Set-Cookie' => 'session=one');
ok(stays(served_by($reply), '/app/', Cookie => 'session=one'), 'learn: followed');
like(letters(6, '/app/', Cookie => 'session=two'), qr/A.*B|B.*A/, 'learn: an unknown one is balanced');

# What the page says that the log shows.
get('/', Cookie => $cookie{B});
get('/', Cookie => 'srv_id=' . md5_hex('b'));
$t->stop();
is(status_of($t, 2), 'HIT MISS', 'the log tells');

# sticky_strict.
my $gone = runnable($after);
$gone =~ s/127\.0\.0\.1:8082( route=b)/127.0.0.1:8089$1/ or die;
$gone =~ s/(sticky_secret [^;]*;)/$1\n        sticky_strict on;/ or die;
$t->write_file_expand('nginx.conf', $gone)->run();
like(get('/', Cookie => $cookie{B}), qr/^HTTP\S+ 502/, 'strict: a server that is gone');
like(get('/', Cookie => $cookie{A}), qr/^X-Server: A/m, 'strict: the other one');
$t->stop();

# The two configurations have the same lines but for what the page says.
my $changed = $before =~ s/ sid=/ route=/gr =~ s/max-age=3600/expires=1h/r =~ s/( header;)/ timeout=1h$1/r;
my ($log) = $after =~ /^(    log_format .*?access_log [^\n]*\n\n)/ms;
is($after =~ s/\Aload_module [^\n]*\n\n//r =~ s/\Q$log\E//r, $changed, 'before and after');

# Last: what nginx -t leaves behind looks like a nginx that runs.
prepare($t);
is(verdict_on_upstream($t, $_), '', "accepted: $_") for @directives;

my $learn = 'sticky learn create=$upstream_cookie_x lookup=$cookie_x zone=x:1m';
for my $case (
    ["$learn remote_uri=/x;", qr/"remote_uri=\/x".*which is of Angie/, 'remote_uri='],
    ["$learn remote_action=/x;", qr/"remote_action=\/x".*which is of Angie/, 'remote_action='],
    ["$learn remote_result=\$x;", qr/"remote_result=\$x".*which is of Angie/, 'remote_result='],
    ['sticky cookie c max-age=3600;', qr/"max-age=3600".*expected "expires=TIME"/, 'max-age='],
    ['sticky cookie c priority=high;', qr/"priority=high"/, 'another attribute'],
    ['sticky cookie c path=;', qr/no value for "path"/, 'path= without a value'],
    ['server 127.0.0.1:8 sid=a;', qr/"sid".*expected "route="/, 'sid='],
    ['server 127.0.0.1:8 slow_start=30s;', qr/"slow_start=30s"/, 'slow_start=, by nginx'],
) {
    my ($line, $says, $what) = @$case;
    like(verdict_on_upstream($t, $line =~ /^server/ ? ('sticky cookie c;', $line) : $line), $says, "refused: $what");
}
is(verdict_on_upstream($t, "$learn norefresh;"), '', 'accepted: norefresh');
