#!/usr/bin/perl

# Tests for docs/upgrade-from-haproxy.md; without them, somebody who does what the page says could
# lose the sessions that it says are kept.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Configuration qw/ prepare verdict_on_upstream /;
use Sticky::Nginx;
use Sticky::Upgrade;

my $page = 'haproxy';
my @directives = directives($page);

my $t = Test::Nginx->new()->has(qw/ http proxy map upstream_least_conn upstream_zone /)
    ->plan(24 + @directives);

SKIP: {
    my $said = checked_by($t, block($page, 'haproxy before'), 'haproxy', '-c', '-f', 'FILE');
    skip 'haproxy is not installed', 1 unless defined $said;
    is($said =~ s/^Configuration file is valid\n//r, '', 'HAProxy takes the configuration before');
}

start($t, 2);

$t->write_file_expand('nginx.conf', runnable(block($page, 'nginx after')))->run();

# stick on url_param: the page hands the id out.
my $reply = get('/', 'X-Page' => '<a href="/?sid=one">');
my $letter = served_by($reply);
like($letter, qr/^[AB]$/, 'url_param: answered');
ok(stays($letter, '/?sid=one'), 'url_param: the session stays at the server that began it');
isnt(served_by(get('/', 'X-Page' => '<a href="/?sid=two">')), $letter, 'url_param: the next one at the other');
ok(stays($letter =~ tr/AB/BA/r, '/?sid=two'), 'url_param: and stays there');
isnt(letters(6, '/?sid=three') =~ tr/A//, 6, 'url_param: a request begins no session');

# stick store-response.
$reply = get('/app/', 'X-Set-Cookie' => 'JSESSIONID=four; Path=/app');
$letter = served_by($reply);
ok(stays($letter, '/app/', Cookie => 'JSESSIONID=four'), 'store-response: the session stays');
my $unknown = letters(6, '/app/', Cookie => 'JSESSIONID=five');
ok($unknown =~ /A/ && $unknown =~ /B/, 'store-response: a request begins no session');

# cookie insert: HAProxy's own values.
is(values_of(get('/pages/')) =~ s/\d/N/r, 'SERVERID=sN', 'insert: the cookie is that of HAProxy');
like(get('/pages/'), qr/^Set-Cookie: SERVERID=s\d;(?=.* httponly)(?=.* path=\/)/m,
    'insert: attributes');
ok(stays('A', '/pages/', Cookie => 'SERVERID=s1'), 'insert: a cookie of the first server');
ok(stays('B', '/pages/', Cookie => 'SERVERID=s2'), 'insert: a cookie of the second server');
is(values_of(get('/pages/', Cookie => 'SERVERID=s2')), 'SERVERID=s2', 'insert: as the page shows');
$t->stop();

my @log = split /\n/, $t->read_file('sticky.log');
my @shop = map { /sticky=(\S+)/ ? $1 : '?' } grep { m!"GET /" ! } @log;
is("@shop[0 .. 6]", 'NEW' . ' HIT' x 6, 'the log tells a new session and its requests');

# The id that comes from elsewhere.
my ($learn) = grep { /create=\$arg_sid/ } @directives;
my $conf = runnable(block($page, 'nginx after'));
$conf =~ s/sticky mode=query [^;]*;/$learn/ or die;
$t->write_file_expand('nginx.conf', $conf)->run();
$letter = served_by(get('/?sid=six'));
ok(stays($letter, '/?sid=six'), 'create=$arg_sid: a request begins a session');
$t->stop();

# request-learn: an id that only requests bring.
$conf = runnable(block($page, 'nginx after'));
$conf =~ s/create=\$upstream_cookie_jsessionid/$& create=\$cookie_jsessionid/ or die;
$t->write_file_expand('nginx.conf', $conf)->run();
$letter = served_by(get('/app/', Cookie => 'JSESSIONID=eight'));
ok(stays($letter, '/app/', Cookie => 'JSESSIONID=eight'),
    'request-learn: a request begins a session');
$t->stop();

# What HAProxy prints, through the page's own command, into nginx.
my ($sed) = Sticky::Upgrade::page($page) =~ /show shop \| (sed -n '[^']+')/;
$t->write_file('table.txt', <<'EOT');
# table: shop, type: string, size:204800, used:2
0x55ce9a397480: key=old-a use=0 exp=3599931 server_id=1 server_key=s1
0x7fd0d8042900: key=old-b use=0 exp=3599951 shard=0 server_id=2 server_key=s2

EOT
my $map = readpipe "$sed < " . $t->testdir() . '/table.txt';
is($map, qq{"old-a" s1;\n"old-b" s2;\n}, 'the table becomes a map');
$t->write_file("haproxy-$_.map", $map) for qw/ shop app /;

$conf = runnable(block($page, 'nginx switch'));
$conf =~ s/\/etc\/nginx\//$t->testdir() . '\/'/ge;
$t->write_file_expand('nginx.conf', $conf)->run();
ok(stays('A', '/?sid=old-a'), 'switch: a session of HAProxy at its server');
ok(stays('B', '/?sid=old-b'), 'switch: another at its own');
ok(stays('B', '/app/', Cookie => 'JSESSIONID=old-b'), 'switch: so by cookie');
$letter = served_by(get('/', 'X-Page' => '<a href="/?sid=seven">'));
ok(stays($letter, '/?sid=seven'), 'switch: a new session is learned');

# Over to the configuration without the maps.
my $after = runnable(block($page, 'nginx after'));
ok(reload_with($t, $after), 'the switch ends with a reload');
ok(stays($letter, '/?sid=seven'), 'which keeps what was learned meanwhile');
isnt(letters(6, '/?sid=old-a') =~ tr/A//, 6, 'and knows HAProxy\'s sessions no more');
$t->stop();

# Last: what nginx -t leaves behind looks like a nginx that runs.
prepare($t);
is(verdict_on_upstream($t, /^sticky / ? $_ : ('sticky cookie c;', $_)), '', "accepted: $_")
    for @directives;
