#!/usr/bin/perl

# Tests for nginx-conf/conf.d/; without them a snippet that somebody copies to /etc/nginx/conf.d could
# be refused there, differ from the whole file that the other tests run, or log for all of nginx. Only
# what is particular to the test is put in: the ports, and the folders of logs and of the key.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Configuration qw/ prepare verdict /;
use Sticky::Readme qw/ published published_text sticky_lines text /;
use Sticky::Upgrade qw/ letters start stays /;

my $top = "$FindBin::Bin/..";
my @snippets = map { /([^\/]+)$/ } sort glob "$top/nginx-conf/conf.d/*.conf";
my $t = Test::Nginx->new()->has(qw/ http proxy map upstream_zone upstream_keepalive /)
    ->plan(6 + 4 * @snippets);
mkdir $t->testdir() . '/log';

# A router, and an nginx for many tenants, are whole: see tools/snippets.
is_deeply(\@snippets, [grep { !/^(?:router|tenants)\.conf$/ } published()], 'one for each whole file');
is(`$top/tools/snippets --check 2>&1`, '', 'as tools/snippets makes them');

# The servers of the shop: a page is what its request has in X-Page.
start($t, 3);

# The http block of an nginx as Debian installs it, where snippets are included.
my $as_installed = <<'EOC';

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    sendfile on;
    tcp_nopush on;
    default_type application/octet-stream;
    access_log %%TESTDIR%%/log/access.log;
    gzip on;

    include case.conf;
}

EOC

$t->write_file_expand('nginx.conf', $as_installed);
$t->write_file('case.conf', here(snippet('query.conf')));
$t->run();

my ($first) = served_by(get('/', 'X-Page' => '<a href="/?sid=one">more</a>'));
ok(stays($first, '/?sid=one'), 'query.conf: a session stays at its server');
like(letters(3, '/'), qr/^(?!(.)\1\1)[ABC]{3}$/, 'query.conf: requests without one go to all');
my $lines = sub { -e $t->testdir() . "/log/$_[0]" ? $t->read_file("log/$_[0]") =~ tr/\n// : 0 };
ok(eventually(sub { $lines->('query.log') == 10 }), 'query.conf: logged');
is($lines->('access.log'), 0, 'query.conf: not in the log of all others, too');
$t->stop();

# Last: what nginx -t leaves behind looks like an nginx that runs.
$t->write_file_expand('nginx.conf', $as_installed);
$t->write_file('sticky.key', 'k' x 32 . "\n");
for my $name (@snippets) {
    my $text = snippet($name);
    # What a whole nginx has already, and what is said for all of it.
    unlike($text, qr/^(?:load_module|events|http|worker_\w+|pid|error_log|access_log|\w+_temp_path)\b/m,
        "$name: a part of an http block");
    unlike($text, qr/\blogs\//, "$name: no folder of a trial");
    is_deeply([sticky_lines($text)], [sticky_lines(published_text($name))], "$name: the same sticky lines");
    # Of a cluster, 127.0.0.1 is another server on each nginx, which is warned of.
    $text =~ s/server 127\.0\.0\.1/server 10.0.0.1/g if $name eq 'cluster.conf';
    is(verdict($t, here($text)), '', "$name: accepted without a warning");
}

sub snippet { return text("$top/nginx-conf/conf.d/$_[0]") }

# With the folders and ports of this test.
sub here {
    my ($text) = @_;
    my $dir = $t->testdir();
    $text =~ s!/var/log/nginx/!$dir/log/!g;
    $text =~ s!127\.0\.0\.1:(\d+)!'127.0.0.1:' . port($1)!ge;
    return $text;
}
