#!/usr/bin/perl

# Tests for the end of nginx without any farewell, master and workers killed at once: it starts
# again, with an empty table where no file keeps it, and has nothing to complain about; without it,
# what a crash leaves behind keeps nginx from coming up.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;
use Sticky::Traffic;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(8);

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

worker_processes 4;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    upstream u {
        sticky mode=query zone=z:128k;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        location / {
            proxy_pass http://u;
        }
    }
}

EOC

without_debug($t);
$t->run();

my %home = hand_out('/', 'id', 400);
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'sessions in use');

# In the middle of learning.

my $client = in_background(sub { hand_out('/', 'more', 40_000); return 'ended' });
select undef, undef, undef, 0.3;
my @all = ($t->read_file('nginx.pid') =~ /(\d+)/, workers($t));
is(kill('KILL', @all), 5, 'master and workers are killed');
is(outcome($client), 'ended', 'and cut off in the middle of their work');
$t->stop();
unlink $t->testdir() . '/nginx.pid';
ok(eventually(sub { !grep { kill 0, $_ } @all }), 'all gone');

my $lines = () = $t->read_file('error.log') =~ /^/mg;
$t->run();

is(status(get('/?sid=id1')), 'MISS', 'the table is empty');
my %again = hand_out('/', 'id', 400);
is(differing(\%again, { bring_back('/', keys %again) }), 0, 'and learns');
is(scalar workers($t), 4, 'four workers');
my @later = ($t->read_file('error.log') =~ /^.*$/mg)[$lines .. 1e6];
is(join("\n", grep { defined && /\[(?:warn|error|crit|alert|emerg)\]/ } @later), '',
    'no complaint');
