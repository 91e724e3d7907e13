#!/usr/bin/perl

# Tests for nginx-conf/a2a.conf: tasks by the A2A SDK, over JSON-RPC and REST; without it a
# task's messages reach agents that do not know it.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sticky::Test;
use Sticky::Apps qw/ apps app backends holds /;
use Sticky::AppsDiscovered qw/ proposes /;

my $folder = apps('apps-python/bin/python');
my $python = "$folder/apps-python/bin/python";

my $t = Test::Nginx->new()->has(qw/ http proxy /)->plan(9);

my $url = 'http://127.0.0.1:' . port(8080);
backends($t, sub { return ($python, app('a2a/server.py'), @_, $url) }, 8081 .. 8083);
my @walks = map { [$_, 24, $python, app('a2a/client.py'), $url, 24, 4, $_] } 'JSONRPC', 'HTTP+JSON';
holds($t, 'a2a.conf', [@walks]);
proposes($t, 'a2a.conf', [
    {
        title => 'A2A', upstream => 'agents', walks => [@walks],
        line => 'sticky mode=query from=json:params.message.taskId,json:params.id'
            . ' learn=json:result.task.history.taskId,json:result.task.status.message.taskId,json:result.task.id;',
        others => ['sticky mode=query from=json:message.taskId,segment:/rest/tasks/'
            . ' learn=json:task.id,json:task.status.message.taskId,json:task.history.taskId;'],
    },
], balancer => 'hash $remote_addr;');
