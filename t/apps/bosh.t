#!/usr/bin/perl

# Tests for nginx-conf/bosh.conf: Prosody over BOSH, by Strophe.js in Chromium; without it a
# session's requests reach servers that do not know it.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sticky::Test;
use Sticky::Apps qw/ apps app backends holds /;
use Sticky::AppsDiscovered qw/ proposes /;

my $folder = apps('apps-python/bin/python', '/usr/bin/prosody', '/usr/bin/chromedriver',
    'apps-node/node_modules/strophe.js/dist/strophe.umd.min.js');
my $python = "$folder/apps-python/bin/python";

my $t = Test::Nginx->new()->has(qw/ http proxy /)->plan(6);

my $dir = $t->testdir();
backends($t, sub {
    my ($port) = @_;
    mkdir "$dir/prosody-$port";
    chmod 0777, $dir, "$dir/prosody-$port";
    $t->write_file("prosody-$port.lua", configuration($port));
    return ('prosody', '--config', "$dir/prosody-$port.lua", '-F');
}, 8081 .. 8083);
my $url = 'http://127.0.0.1:' . port(8080);
my $strophe = "$folder/apps-node/node_modules/strophe.js/dist/strophe.umd.min.js";
my @walks = (['clients', 12, $python, app('prosody/client.py'), $url, 12, 6, $strophe]);
holds($t, 'bosh.conf', [@walks]);
proposes($t, 'bosh.conf', [
    {
        title => 'Prosody, BOSH', upstream => 'bosh', walks => [@walks],
        line => 'sticky mode=query from=xml:sid learn=xml:authid,xml:sid;',
    },
]);

# People without an account, and a server that talks to nobody else.
sub configuration {
    my ($port) = @_;
    return <<"EOF";
pidfile = "$dir/prosody-$port/pid"
data_path = "$dir/prosody-$port"
run_as_root = true
log = { error = "$dir/prosody-$port/log" }
modules_enabled = { "roster", "saslauth", "disco", "ping", "bosh" }
modules_disabled = { "s2s", "c2s", "offline" }
authentication = "anonymous"
c2s_ports = {}
s2s_ports = {}
https_ports = {}
http_ports = { $port }
http_interfaces = { "127.0.0.1" }
http_default_host = "shop.test"
consider_bosh_secure = true
VirtualHost "shop.test"
EOF
}
