#!/usr/bin/perl

# Tests for nginx-conf/realtime.conf: SockJS, Bayeux (Faye) and SignalR over HTTP, by their
# own clients; without it a connection's requests reach servers that do not know it.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sticky::Test;
use Sticky::Apps qw/ apps app backends holds /;
use Sticky::AppsDiscovered qw/ proposes /;

my $folder = apps('apps-node/node_modules');
$ENV{NODE_PATH} = "$folder/apps-node/node_modules";

my $t = Test::Nginx->new()->has(qw/ http proxy /)->plan(18);

my %ports = (sockjs => [8081 .. 8083], faye => [8084 .. 8086], signalr => [8087 .. 8089]);
for my $app (sort keys %ports) {
    backends($t, sub { return ('node', app("$app/server.js"), @_) }, @{ $ports{$app} });
}
my $url = 'http://127.0.0.1:' . port(8080);
my @walks = (
    ['SockJS, polling', 24, 'node', app('sockjs/client.js'), $url, 24, 6, 'xhr-polling'],
    ['SockJS, streaming', 24, 'node', app('sockjs/client.js'), $url, 24, 6, 'xhr-streaming'],
    ['Faye', 24, 'node', app('faye/client.js'), $url, 24, 6],
    ['SignalR', 24, 'node', app('signalr/client.js'), $url, 24, 6],
);
holds($t, 'realtime.conf', [@walks]);
proposes($t, 'realtime.conf', [
    {
        title => 'SockJS', upstream => 'sockjs', uncertain => 1, walks => [@walks[0, 1]],
        line => 'sticky mode=query from=segment:/echo/*/ learn=request;',
    },
    {
        title => 'Faye', upstream => 'bayeux', walks => [$walks[2]],
        line => 'sticky mode=query from=json:clientId learn=json:clientId;',
    },
    {
        title => 'SignalR', upstream => 'signalr', walks => [$walks[3]],
        line => 'sticky mode=query name=id from=query learn=json:connectionToken;',
    },
]);
