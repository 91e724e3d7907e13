#!/usr/bin/perl

# Tests for nginx-conf/socketio.conf: Socket.IO, its server and its client, with long-polling, with
# the upgrade to WebSocket, and with WebSocket alone; without it no connection by long-polling comes
# about.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sticky::Test;
use Sticky::Apps qw/ apps app published compared walked /;
use Sticky::AppsDiscovered qw/ proposes /;

my $folder = apps(qw{ node/node_modules/socket.io node/node_modules/socket.io-client });

my $t = Test::Nginx->new()->has(qw/ http proxy map /)->plan(11);

$ENV{NODE_PATH} = "$folder/node/node_modules";
for my $port (map { port($_) } 8081 .. 8083) {
    $t->run_daemon('node', app('socketio/server.js'), $port, "io-$port");
}
$t->waitforsocket("127.0.0.1:" . port($_)) for 8081 .. 8083;

my $url = 'http://127.0.0.1:' . port(8080);
my @client = ('node', app('socketio/client.js'), $url);

compared($t, 'socketio.conf', [
    map { [$_, 30, @client, 30, 10, $_] } 'polling', 'polling,websocket',
]);

published($t, 'socketio.conf', 1);
$t->run();
for (
    ['polling', 'polling'],
    ['polling,websocket', 'websocket'],
    ['websocket', 'websocket'],
) {
    my ($transports, $last) = @$_;
    my $result = walked(@client, 30, 10, $transports);
    is($result->{good}, 30, "$transports: connections that hold") or diag(explain($result));
    is($result->{transports}{$last}, 30, "$transports: $last in the end");
}
my $result = walked(@client, 30, 3, 'polling');
is($result->{servers}, 3, 'at three servers');
$t->stop();

published($t, 'socketio.conf', 0);
$t->run();
$result = walked(@client, 30, 10, 'polling');
cmp_ok($result->{good}, '<', 15, 'without sticky most fail');
$t->stop();

proposes($t, 'socketio.conf', [{
    title => 'Socket.IO', upstream => 'socketio', walks => [['polling', 30, @client, 30, 10, 'polling']],
    line => 'sticky mode=query name=sid from=query learn=json;',
}]);
