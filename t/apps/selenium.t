#!/usr/bin/perl

# Tests for nginx-conf/selenium.conf: browsers that Selenium's client drives through
# chromedriver; without it a browser's commands reach servers that do not have it.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sticky::Test;
use Sticky::Apps qw/ apps app backends holds /;
use Sticky::AppsDiscovered qw/ proposes /;

my $folder = apps('apps-python/bin/python', '/usr/bin/chromedriver');
my $python = "$folder/apps-python/bin/python";

my $t = Test::Nginx->new()->has(qw/ http proxy /)->plan(6);

# A browser that nobody can end outlives its chromedriver, so all of them are one group of
# processes.
my $group = 'trap "kill -KILL 0" TERM; chromedriver --port="$1" & wait';
backends($t, sub { return ('setsid', 'sh', '-c', $group, 'chromedriver', $_[0]) }, 8081 .. 8083);
my $url = 'http://127.0.0.1:' . port(8080);
my @walks = (['browsers', 9, $python, app('selenium/client.py'), $url, 9, 4]);
holds($t, 'selenium.conf', [@walks]);
proposes($t, 'selenium.conf', [
    {
        title => 'chromedriver', upstream => 'webdriver', walks => [@walks],
        line => 'sticky mode=query from=segment:/session/ learn=json:value.sessionId;',
    },
]);
