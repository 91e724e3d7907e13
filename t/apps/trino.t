#!/usr/bin/perl

# Tests for nginx-conf/trino.conf: queries by Trino's client; without it most of a query's
# requests reach coordinators that do not know it.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sticky::Test;
use Sticky::Apps qw/ apps app backends holds /;
use Sticky::AppsDiscovered qw/ proposes /;

my $folder = apps('apps-node/node_modules');
$ENV{NODE_PATH} = "$folder/apps-node/node_modules";

my $t = Test::Nginx->new()->has(qw/ http proxy /)->plan(6);

backends($t, sub { return ('node', app('trino/server.js'), @_) }, 8081 .. 8083);
my $url = 'http://127.0.0.1:' . port(8080);
my $walk = ['queries', 24, 'node', app('trino/client.js'), $url, 24];
holds($t, 'trino.conf', [$walk]);
proposes($t, 'trino.conf', [{
    title => 'Trino', upstream => 'trino', walks => [$walk],
    line => 'sticky mode=query from=segment:/v1/statement/executing/,segment:/v1/statement/queued/ learn=json:.id;',
}], balancer => 'hash $remote_addr;');
