#!/usr/bin/perl

# Tests for nginx-conf/mcp.conf: servers and clients of the Model Context Protocol of
# 2026-07-28, by its official SDK: a requestState, and the session id of a tool; without it they
# reach servers that did not make them.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sticky::Test;
use Sticky::Apps qw/ apps app backends holds /;
use Sticky::AppsDiscovered qw/ proposes /;

my $folder = apps('apps-python/bin/python');
my $python = "$folder/apps-python/bin/python";

my $t = Test::Nginx->new()->has(qw/ http proxy /)->plan(9);

backends($t, sub { return ($python, app('mcp_state/server.py'), @_) }, 8081 .. 8083);
my $url = 'http://127.0.0.1:' . port(8080) . '/mcp';
my @walks = (
    ['requestState', 24, $python, app('mcp_state/client.py'), $url, 24, 6, 'paint'],
    ['session of a tool', 24, $python, app('mcp_state/client.py'), $url, 24, 6, 'count'],
);
holds($t, 'mcp.conf', [@walks]);
proposes($t, 'mcp.conf', [
    {
        title => 'MCP, state in JSON', upstream => 'mcp', walks => [@walks],
        line => 'sticky mode=query from=json:params.arguments.session_id learn=json:result.structuredContent.session_id;',
        others => ['sticky mode=query from=json:params.requestState learn=json:result.requestState;'],
    },
]);
