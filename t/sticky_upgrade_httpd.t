#!/usr/bin/perl

# Tests for docs/upgrade-from-httpd.md; without them, ids that httpd could follow might lead to
# another server.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Configuration qw/ prepare verdict /;
use Sticky::Upgrade;

my $page = 'httpd';
my @directives = directives($page);

# A URL, the cookie JSESSIONID, and the server that httpd 2.4 sends them to.
my @as_httpd = (
    ['/', 'x.node2', 'B'],
    ['/', 'x.node1', 'A'],
    ['/a;jsessionid=x.node2?b=c', undef, 'B'],
    ['/a;jsessionid=x.node1', undef, 'A'],
    ['/a?jsessionid=x.node2', undef, 'B'],
    ['/a?b=c&jsessionid=x.node2', undef, 'B'],
    ['/a;jsessionid=x.node1', 'x.node2', 'A'],
    ['/a;JSESSIONID=x.node1', 'x.node2', 'B'],
    # The suffix begins at the first dot.
    ['/', 'x.y.node2', 'balanced'],
    ['/', 'node2', 'balanced'],
    ['/a;jsessionid=node2', undef, 'balanced'],
    ['/a', undef, 'balanced'],
);

# What httpd does not follow, as the page says.
my @otherwise = (
    ['/a;b=c;jsessionid=x.node2;d', undef, 'B'],
    ['/a;jsessionid=x', 'x.node2', 'B'],
);

my $t = Test::Nginx->new()->has(qw/ http proxy map upstream_zone /)
    ->plan(13 + @as_httpd + @otherwise + @directives);

SKIP: {
    my $text = block($page, 'httpd before') =~ s!/var/log/apache2/!$t->testdir() . '/'!er;
    my $said = checked_by($t, $text, 'apache2', '-t', '-f', 'FILE');
    skip 'httpd is not installed', 1 unless defined $said;
    is($said =~ s/^Syntax OK\n//r, '', 'httpd takes the configuration before');
}

start($t, 2);
$t->write_file_expand('nginx.conf', runnable(block($page, 'nginx after')))->run();

for my $case (@as_httpd, @otherwise) {
    my ($url, $cookie, $expected) = @$case;
    my @headers = defined $cookie ? (Cookie => "JSESSIONID=$cookie") : ();
    my $letters = letters(6, $url, @headers);
    my $found = $letters eq 'AAAAAA' ? 'A' : $letters eq 'BBBBBB' ? 'B'
        : length $letters == 6 ? 'balanced' : $letters;
    is($found, $expected, $url . (defined $cookie ? " with $cookie" : ''));
}

# The cookie that httpd sets, with its dot.
my $reply = get('/pages/');
like(values_of($reply), qr/^ROUTEID=\.node[12]$/, 'ROUTEID: the cookie is that of httpd');
my %route = (A => '.node1', B => '.node2');
is(values_of($reply), 'ROUTEID=' . ($route{served_by($reply)} // ''),
    'ROUTEID: of the right server');
ok(stays('A', '/pages/', Cookie => 'ROUTEID=.node1'), 'ROUTEID: a cookie of the first server');
ok(stays('B', '/pages/', Cookie => 'ROUTEID=.node2'), 'ROUTEID: a cookie of the second server');

# What the page says that the log shows.
get('/', Cookie => 'JSESSIONID=x.node2') for 1 .. 4;
get('/a;jsessionid=x.node1?b=c') for 1 .. 4;
get('/', Cookie => 'JSESSIONID=x.node3');
$t->stop();
# Since 1.29.6 this is nginx's own business.
my $expected = $t->has_version('1.29.6') ? join ' ', ('-') x 9 : 'HIT ' x 8 . 'MISS';
is(status_of($t, 9), $expected, 'the log tells');

# nofailover=On.
my ($strict) = grep { /^sticky_strict/ } @directives;
for my $extra ('', " $strict") {
    my $conf = runnable(block($page, 'nginx after'));
    $conf =~ s/sticky route [^;]*;\K/$extra/ or die;
    $conf =~ s/127\.0\.0\.1:8082( route=node2)/127.0.0.1:8089$1/ or die;
    $t->write_file_expand('nginx.conf', $conf)->run();
    like(get('/', Cookie => 'JSESSIONID=x.node2'), $extra ? qr/^HTTP\S+ 502/ : qr/^X-Server: A/m,
        "a server that is gone:$extra");
    like(get('/', Cookie => 'JSESSIONID=x.node1'), qr/^X-Server: A/m, "the other one:$extra");
    $t->stop();
}

# Ids without a suffix that come back in the path, after a first response with a cookie.
my ($learn) = grep { /^sticky learn/ } @directives;
my $conf = runnable(block($page, 'nginx after'));
$conf =~ s/(map \$request_uri \$route_of_url \{\n).*?\n(    \})/$1        "~;jsessionid=(?<url>[^;?#]+)" \$url;\n$2/s
    or die;
$learn =~ s/ lookup=\$cookie_x/$& lookup=\$route_of_url/ or die;
$conf =~ s/sticky route [^;]*;/$learn/ or die;
$t->write_file_expand('nginx.conf', $conf)->run();
$reply = get('/', 'X-Set-Cookie' => 'x=plain');
my $letter = served_by($reply);
like($letter, qr/^[AB]$/, 'without a suffix: answered');
ok(stays($letter, '/a;jsessionid=plain?b'), 'without a suffix: followed in the path');
ok(stays($letter, '/a', Cookie => 'x=plain'), 'without a suffix: followed in the cookie');
$t->stop();

# Last: what nginx -t leaves behind looks like a nginx that runs.
prepare($t);
my $maps = 'map $arg_u $route_of_url { default ""; } map $arg_c $route_of_cookie { default ""; }';
for my $line (@directives) {
    my $lines = $line =~ /^server/ ? "sticky cookie c; $line" : "$line server 127.0.0.1:9;";
    $lines = "sticky cookie c; $lines" if $line =~ /^sticky_/;
    is(verdict($t, "$maps upstream u { $lines }"), '', "accepted: $line");
}
