#!/usr/bin/perl

# Tests for nginx-conf/llm.conf: conversations by OpenAI's client with the Responses API,
# whole and as events, and agents that make their session ids; without it a conversation's turns
# reach servers that do not know it.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sticky::Test;
use Sticky::Apps qw/ apps app backends holds /;

my $folder = apps('apps-python/bin/python');
my $python = "$folder/apps-python/bin/python";

my $t = Test::Nginx->new()->has(qw/ http proxy /)->plan(7);

backends($t, sub { return ($python, app('responses/server.py'), @_) }, 8081 .. 8086);
my ($url, $agents) = map { 'http://127.0.0.1:' . port($_) } 8080, 8090;
holds($t, 'llm.conf', [
    ['responses', 24, $python, app('responses/client.py'), $url, 24, 6, 'whole'],
    ['responses as events', 24, $python, app('responses/client.py'), $url, 24, 6, 'stream'],
    ['agents', 24, $python, app('agents/client.py'), $agents, 24, 6],
]);
