#!/usr/bin/perl

# Tests for nginx-conf/mcp.conf: servers and clients of the Model Context Protocol, by its official
# SDK, with the streamable HTTP transport and with server-sent events; without it a session's calls
# reach servers that do not know it.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sticky::Test;
use Sticky::Apps qw/ apps app published compared walked /;
use Sticky::AppsDiscovered qw/ proposes /;

my $folder = apps('python/bin/python');
my $python = "$folder/python/bin/python";

my $t = Test::Nginx->new()->has(qw/ http proxy /)->plan(12);

my %ports = ('streamable-http' => [8081 .. 8083], sse => [8084 .. 8086]);
for my $transport (keys %ports) {
    for my $port (map { port($_) } @{ $ports{$transport} }) {
        # Its complaints about clients that have gone are not ours.
        $t->run_daemon('sh', '-c', 'exec "$@" 2>/dev/null', 'mcp', $python, app('mcp/server.py'), $transport,
            $port, "mcp-$port");
    }
}
for my $port (map { port($_) } 8081 .. 8086) {
    for (1 .. 12) {
        last if $t->waitforsocket("127.0.0.1:$port");
    }
}

my %url = ('streamable-http' => '/mcp', sse => '/sse');
my $walk = sub {
    my ($transport, $sessions, $calls) = @_;
    my $url = 'http://127.0.0.1:' . port(8080) . $url{$transport};
    return walked($python, app('mcp/client.py'), $transport, $url, $sessions, $calls);
};

compared($t, 'mcp.conf', [
    map { my $transport = $_; [$transport, 24, sub { return $walk->($transport, @_, 8) }] } sort keys %ports
]);

published($t, 'mcp.conf', 1);
$t->run();
for my $transport (sort keys %ports) {
    my $result = $walk->($transport, 24, 8);
    is($result->{good}, 24, "$transport: sessions that hold") or diag(explain($result));
    is($result->{servers}, 3, "$transport: at three servers");
}
$t->stop();

published($t, 'mcp.conf', 0);
$t->run();
for my $transport (sort keys %ports) {
    my $result = $walk->($transport, 12, 8);
    cmp_ok($result->{good}, '<', 4, "$transport: without sticky most are lost");
}
$t->stop();

my @commands = map { [$_, 24, $python, app('mcp/client.py'), $_, 'http://127.0.0.1:' . port(8080) . $url{$_}, 24, 8] }
    'streamable-http', 'sse';
proposes($t, 'mcp.conf', [
    {
        title => 'MCP, streamable HTTP', upstream => 'mcp', walks => [$commands[0]],
        line => 'sticky mode=query from=header:Mcp-Session-Id learn=header:Mcp-Session-Id;',
    },
    {
        title => 'MCP, server-sent events', upstream => 'mcp_sse', walks => [$commands[1]],
        line => 'sticky mode=query name=session_id from=query learn=sse;',
    },
], balancer => 'hash $remote_addr;');
