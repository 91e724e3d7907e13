#!/usr/bin/perl

# Tests for nginx-conf/a2a.conf: tasks by the A2A SDK, over JSON-RPC and REST; without it a
# task's messages reach agents that do not know it.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sticky::Test;
use Sticky::Apps qw/ apps app backends holds /;

my $folder = apps('apps-python/bin/python');
my $python = "$folder/apps-python/bin/python";

my $t = Test::Nginx->new()->has(qw/ http proxy /)->plan(5);

my $url = 'http://127.0.0.1:' . port(8080);
backends($t, sub { return ($python, app('a2a/server.py'), @_, $url) }, 8081 .. 8083);
holds($t, 'a2a.conf', [
    map { [$_, 24, $python, app('a2a/client.py'), $url, 24, 4, $_] } 'JSONRPC', 'HTTP+JSON'
]);
