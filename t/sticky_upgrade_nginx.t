#!/usr/bin/perl

# Tests for docs/upgrade-from-nginx.md; without them, a configuration of NGINX Plus might be
# accepted and do something else.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Configuration qw/ prepare verdict_on_upstream /;
use Sticky::Upgrade;

use Digest::MD5 qw/ md5_hex /;

my $page = 'nginx';
my @directives = directives($page);

my $t = Test::Nginx->new()->has(qw/ http proxy map upstream_least_conn upstream_zone /)
    ->plan(2 * 14 + 8 + @directives);

start($t, 3);
my %cookie = map { chr(64 + $_) => 'srv_id=' . md5_hex('127.0.0.1:' . port(8080 + $_)) } 1 .. 3;

my $before = "load_module modules/ngx_http_sticky_rs.so;\n" . block($page, 'nginx before');
my $after = block($page, 'nginx after');
for (['before', $before], ['after', $after]) {
    my ($mark, $text) = @$_;
    $t->write_file_expand('nginx.conf', runnable($text))->run();

    my $reply = get('/');
    my $letter = served_by($reply);
    like($letter, qr/^[AB]$/, "$mark, cookie: answered");
    is(values_of($reply), $cookie{$letter}, "$mark, cookie: the value is that of nginx");
    like(
        $reply,
        qr/^Set-Cookie: srv_id=\w+; expires=[^;]+; max-age=3600; httponly; samesite=lax; path=\/\x0d$/m,
        "$mark, cookie: the attributes are those of nginx"
    );
    ok(stays($_, '/', Cookie => $cookie{$_}), "$mark, cookie: $_") for sort keys %cookie;
    unlike(letters(9, '/'), qr/C/, "$mark, cookie: no new session for the drained server");

    ok(stays('A', '/tomcat/', Cookie => 'JSESSIONID=x.a'), "$mark, route: by cookie");
    ok(stays('B', '/tomcat/;jsessionid=x.b?c=d'), "$mark, route: by URL");
    ok(stays('B', '/tomcat/;jsessionid=x.a', Cookie => 'JSESSIONID=x.b'),
        "$mark, route: the first variable decides");
    my $unknown = letters(6, '/tomcat/', Cookie => 'JSESSIONID=x.z');
    ok($unknown =~ /A/ && $unknown =~ /B/, "$mark, route: an unknown one is balanced");

    $reply = get('/app/', 'X-Set-Cookie' => 'session=one');
    ok(stays(served_by($reply), '/app/', Cookie => 'session=one'), "$mark, learn: followed");
    $unknown = letters(6, '/app/', Cookie => 'session=two');
    ok($unknown =~ /A/ && $unknown =~ /B/, "$mark, learn: an unknown one is balanced");
    is(values_of(get('/app/', Cookie => 'session=one')), '', "$mark, learn: no cookie of our own");

    if ($mark eq 'after') {
        $reply = get('/shop/', 'X-Page' => '<a href="?sid=three">');
        ok(stays(served_by($reply), '/shop/?sid=three'), 'after, query: followed');
        get('/', Cookie => $cookie{B});
        get('/tomcat/', Cookie => 'JSESSIONID=x.b');
    }
    $t->stop();
}

# Since 1.29.6 these are nginx's own business.
is(status_of($t, 2), $t->has_version('1.29.6') ? '- -' : 'HIT HIT',
    'the log tells what the page says');

# The short form has the values of the long one.
my ($long, $short) = map { my $line = $_; grep { $_ eq $line } @directives }
    'sticky cookie route path=/;', 'sticky;';
my $cookie = 'route=' . md5_hex('127.0.0.1:' . port(8082));
for my $line ($long, $short) {
    my $conf = runnable($after);
    $conf =~ s/sticky cookie srv_id [^;]*;/$line/ or die;
    $t->write_file_expand('nginx.conf', $conf)->run();
    ok(stays('B', '/', Cookie => $cookie), "$line follows the cookie");
    is(values_of(get('/', Cookie => $cookie)), $cookie, "$line sends the same back");
    $t->stop();
}

# Last: what nginx -t leaves behind looks like a nginx that runs.
prepare($t);
is(verdict_on_upstream($t, /^server/ ? ('sticky cookie c;', $_) : $_), '', "accepted: $_")
    for @directives;

# What only Plus has.
my $words = 'create=$upstream_cookie_x lookup=$cookie_x zone=x:1m';
like(verdict_on_upstream($t, "sticky learn $words sync;"), qr/"sync".* in case\.conf:2$/m,
    'refused: sync');
like(
    verdict_on_upstream($t, 'sticky cookie c;', 'server 127.0.0.1:8 slow_start=30s;'),
    qr/"slow_start=30s" in case\.conf:3$/m, 'refused: slow_start, by nginx'
);
