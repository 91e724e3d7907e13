#!/usr/bin/perl

# Tests for nginx-conf/tomcat.conf: a servlet container with the session id in the path of its links
# (encodeURL), behind the id the name of the node; without it users without cookies are logged out.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sticky::Test;
use Sticky::Apps qw/ apps app published compared /;
use Sticky::AppsDiscovered qw/ proposes /;
use Sticky::AppsShops qw/ walk_all walk_two /;

use File::Copy qw/ copy /;

my $home = '/usr/share/tomcat10';
apps("$home/bin/bootstrap.jar", '/usr/bin/java');

my $t = Test::Nginx->new()->has(qw/ http proxy /)->plan(6);

for my $number (1 .. 3) {
    my $base = $t->testdir() . "/node$number";
    mkdir "$base$_" for '', map { "/$_" }
        qw{ conf logs temp work webapps webapps/ROOT webapps/ROOT/WEB-INF };
    copy(app('tomcat/server.xml'), "$base/conf/server.xml");
    copy('/etc/tomcat10/web.xml', "$base/conf/web.xml");
    copy(app('tomcat/index.jsp'), "$base/webapps/ROOT/index.jsp");
    copy(app('tomcat/web.xml'), "$base/webapps/ROOT/WEB-INF/web.xml");
    $t->run_daemon('sh', '-c', 'exec "$@" >"$0" 2>&1', "$base/logs/out", '/usr/bin/java', '-Xmx128m',
        '-XX:TieredStopAtLevel=1', '-cp', "$home/bin/bootstrap.jar:$home/bin/tomcat-juli.jar",
        "-Dcatalina.home=$home", "-Dcatalina.base=$base", "-Djava.io.tmpdir=$base/temp",
        "-Dshop.name=node$number", '-Dshop.port=' . port(8080 + $number),
        'org.apache.catalina.startup.Bootstrap', 'start');
}

# A JVM takes its time, and so does the first page, which it compiles.
for my $node (map { '127.0.0.1:' . port($_) } 8081 .. 8083) {
    for (1 .. 12) {
        last if $t->waitforsocket($node);
    }
    for (1 .. 12) {
        last if (http("GET / HTTP/1.0\nHost: $node\n\n", PeerAddr => $node) // '') =~ /X-Backend/;
    }
}

compared($t, 'tomcat.conf', [['Tomcat', 60, sub { return { good => (walk_all(@_))[0] } }]]);

published($t, 'tomcat.conf', 1);
$t->run();
my ($whole, $servers, $lost) = walk_all(60);
is($whole, 60, 'sessions that stay whole') or diag($lost);
is($servers, 3, 'at three servers');
$t->stop();

published($t, 'tomcat.conf', 0);
$t->run();
($whole) = walk_all(20);
cmp_ok($whole, '<', 10, 'without sticky most are lost');
$t->stop();

proposes($t, 'tomcat.conf', [{
    title => 'Tomcat', upstream => 'tomcat', walks => [['Tomcat', 30, \&walk]],
    line => 'sticky mode=query name=JSESSIONID;',
}]);

sub walk {
    return walk_two() if $ENV{STICKY_VISITOR};
    return { good => (walk_all(@_))[0] };
}
