#!/usr/bin/perl

# Tests for nginx-conf/agents.conf: agents that make their session id and send it in a header of
# theirs, by OpenAI's client; without it the requests of a session reach any server.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sticky::Test;
use Sticky::Apps qw/ apps app backends holds /;
use Sticky::AppsDiscovered qw/ proposes /;

my $folder = apps('apps-python/bin/python');
my $python = "$folder/apps-python/bin/python";

my @headers = qw/
    X-Session-ID X-Claude-Code-Session-Id Session_id x-opencode-session X-Dynamo-Session-ID
/;
my $t = Test::Nginx->new()->has(qw/ http proxy upstream_zone /)->plan(4 + 2 * @headers);

backends($t, sub { return ($python, app('responses/server.py'), @_) }, 8081 .. 8083);
my $url = 'http://127.0.0.1:' . port(8080);
my @walks = map { [$_, 24, $python, app('agents/client.py'), $url, 24, 6, $_] } @headers;
holds($t, 'agents.conf', [@walks]);
proposes($t, 'agents.conf', [
    {
        title => 'agents', upstream => 'agents', uncertain => 1, walks => [$walks[0]],
        line => 'sticky mode=query from=header:X-Session-Id learn=request;',
    },
]);
