#!/usr/bin/perl

# Tests for nginx-conf/llm.conf: conversations by OpenAI's client with the Responses API, whole and
# as events, and chats that name what belongs together; without it a conversation's turns reach
# servers that do not know it.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sticky::Test;
use Sticky::Apps qw/ apps app backends holds /;
use Sticky::AppsDiscovered qw/ proposes /;

my $folder = apps('apps-python/bin/python');
my $python = "$folder/apps-python/bin/python";

my $t = Test::Nginx->new()->has(qw/ http proxy upstream_zone /)->plan(16);

backends($t, sub { return ($python, app('responses/server.py'), @_) }, 8081 .. 8083);
my $url = 'http://127.0.0.1:' . port(8080);
my @responses = (
    ['responses', 24, $python, app('responses/client.py'), $url, 24, 6, 'whole'],
    ['responses as events', 24, $python, app('responses/client.py'), $url, 24, 6, 'stream'],
);
my @chats = map { [$_, 24, $python, app('responses/prompts.py'), $url, 24, 6, $_] } qw/ prompt_cache_key user /;
holds($t, 'llm.conf', [@responses, @chats]);
proposes($t, 'llm.conf', [
    {
        title => 'Responses API', upstream => 'responses', walks => [@responses],
        line => 'sticky mode=query from=json:previous_response_id,segment:/v1/responses/'
            . ' learn=json:response.id,sse,json:.id;',
    },
    {
        title => 'chats', upstream => 'prompts', walks => [@chats], uncertain => 1,
        line => 'sticky mode=query from=json:.user learn=request;',
        others => ['sticky mode=query from=json:prompt_cache_key learn=request;'],
    },
], balancer => 'hash $remote_addr;');
