#!/usr/bin/perl

# Tests for what Prometheus and Grafana get: metrics that promtool takes, a dashboard and alert
# rules that ask for nothing else; without them a panel could stay empty and an alert silent for
# ever.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

use File::Spec;
use JSON::PP ();

my ($promtool) = grep { -x } map { "$_/promtool" } File::Spec->path();

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(12);

# Names that would end a value or a line.
my $hostile = "x\\\"} 1\nevil_total{y=\\\"<b>\xff";

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    upstream shop {
        sticky mode=query name=sid state=%%TESTDIR%%/shop.state;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream route {
        sticky;
        server 127.0.0.1:8081 "route=a b";
    }

    upstream "$hostile" {
        sticky mode=query name=sid;
        server 127.0.0.1:8081;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location / {
            proxy_pass http://shop;
        }

        location /route/ {
            proxy_pass http://route;
        }

        location /sticky {
            sticky_status;
        }
    }
}

EOC

$t->run();

get('/', 'X-Page' => link_to("s$_")) for 1 .. 3;
get("/?sid=s$_") for 1 .. 3;
get('/route/');
# The sweep comes once a second.
my $metrics = eventually(sub {
    my $text = http_content(get('/sticky/metrics'));
    return $text =~ /^nginx_sticky_scan_timestamp_seconds\{zone="sticky:shop"\}/m
        && $text =~ /^nginx_sticky_state_write_timestamp_seconds/m && $text;
});
ok($metrics, 'metrics');
my %written = map { $_ => 1 } $metrics =~ /^# TYPE (\S+)/mg;
cmp_ok(scalar keys %written, '>=', 8, 'some families');
is(scalar(() = $metrics =~ /^evil/mg), 0, 'a name makes no line');

SKIP: {
    skip 'no promtool, see tools/test-packages', 2 unless $promtool;
    $t->write_file('metrics.txt', $metrics);
    is(run("$promtool check metrics < " . $t->testdir() . '/metrics.txt'), '', 'promtool takes the metrics');
    # Something that it refuses, or the line above says nothing.
    $t->write_file('wrong.txt', "# TYPE wrong counter\nwrong 1\n");
    isnt(run("$promtool check metrics < " . $t->testdir() . '/wrong.txt'), '', 'promtool finds what is wrong');
}

# What is declared in the source, and what the page about it says.

my $top = File::Spec->catdir($FindBin::Bin, '..');
my %declared = map { $_ => 1 } text('src/core/status/metrics.rs') =~ /^    "(nginx_sticky_\w+)",$/mg;
my %documented = map { $_ => 1 } text('docs/status.md') =~ /^\| `(nginx_sticky_\w+)`/mg;
is_deeply([sort keys %documented], [sort keys %declared], 'docs/status.md has all families');
is_deeply([grep { !$declared{$_} } sort keys %written], [], 'none is written that is not declared');

# The dashboard and the rules.

my $dashboard = text('monitoring/grafana.json');
my $read = eval { JSON::PP->new->utf8->decode($dashboard) };
is($@, '', 'the dashboard is JSON');
my %panels = map { $_->{id} => 1 } @{ $read->{panels} };
is(scalar keys %panels, scalar @{ $read->{panels} }, 'each panel has a number of its own');
my $rules = text('monitoring/alerts.yml');
for my $file ([dashboard => $dashboard], [rules => $rules]) {
    my ($name, $text) = @$file;
    my @asked = $text =~ /\b(nginx_sticky_\w+)/g;
    # The name of the group.
    my %unknown = map { $declared{$_} || $_ eq 'nginx_sticky' ? () : ($_ => 1) } @asked;
    is(join(' ', sort keys %unknown), '', "the $name ask for metrics that there are");
}
SKIP: {
    skip 'no promtool, see tools/test-packages', 1 unless $promtool;
    is(run("$promtool check rules $top/monitoring/alerts.yml"), '', 'promtool takes the rules');
}

$t->stop();

# What the command says when it fails or warns; '' when all is well.
sub run {
    my ($command) = @_;
    my $said = `$command 2>&1`;
    return $? ? "status $?: $said" : $said =~ /error|warn/i ? $said : '';
}

sub text {
    my ($file) = @_;
    open my $handle, '<', "$top/$file" or die "$file: $!\n";
    local $/;
    return <$handle>;
}
