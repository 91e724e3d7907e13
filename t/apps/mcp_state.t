#!/usr/bin/perl

# Tests for nginx-conf/mcp.conf: servers and clients of the Model Context Protocol of
# 2026-07-28, by its official SDK: a requestState, and the session id of a tool; without it they
# reach servers that did not make them.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sticky::Test;
use Sticky::Apps qw/ apps app backends holds /;

my $folder = apps('apps-python/bin/python');
my $python = "$folder/apps-python/bin/python";

my $t = Test::Nginx->new()->has(qw/ http proxy /)->plan(5);

backends($t, sub { return ($python, app('mcp_state/server.py'), @_) }, 8081 .. 8083);
my $url = 'http://127.0.0.1:' . port(8080) . '/mcp';
holds($t, 'mcp.conf', [
    ['requestState', 24, $python, app('mcp_state/client.py'), $url, 24, 6, 'paint'],
    ['session of a tool', 24, $python, app('mcp_state/client.py'), $url, 24, 6, 'count'],
]);
