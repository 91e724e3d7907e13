#!/usr/bin/perl

# Tests for nginx-conf/python-apps.conf: Gradio and python-socketio by their clients, NiceGUI
# and Shiny in Chromium; without it a session's requests reach servers that do not know it.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sticky::Test;
use Sticky::Apps qw/ apps app backends holds /;
use Sticky::AppsDiscovered qw/ proposes /;

my $folder = apps('apps-python/bin/python', '/usr/bin/chromedriver');
my $python = "$folder/apps-python/bin/python";

my $t = Test::Nginx->new()->has(qw/ http proxy map /)->plan(21);

# Settings and caches of theirs go there.
$ENV{HOME} = $t->testdir();
my %ports = (
    gradio => [8081 .. 8083], python_socketio => [8084 .. 8086], nicegui => [8087 .. 8089],
    shiny => [8091 .. 8093],
);
for my $app (sort keys %ports) {
    backends($t, sub { return ($python, app("$app/server.py"), @_) }, @{ $ports{$app} });
}
my %url = (gradio => 8080, python_socketio => 8090, nicegui => 8094, shiny => 8095);
$_ = 'http://127.0.0.1:' . port($_) for values %url;
my %walk = (
    gradio => ['Gradio', 18, $python, app('gradio/client.py'), $url{gradio}, 18, 5],
    python_socketio => ['python-socketio', 12, $python, app('python_socketio/client.py'), $url{python_socketio}, 12, 4],
    nicegui => ['NiceGUI', 12, $python, app('lib/clicks.py'), $url{nicegui}, 12, 3],
    shiny => ['Shiny', 8, $python, app('lib/clicks.py'), $url{shiny}, 8, 3, 'download'],
);
holds($t, 'python-apps.conf', [@walk{qw/ gradio python_socketio nicegui shiny /}]);
proposes($t, 'python-apps.conf', [
    {
        title => 'Gradio', upstream => 'gradio', uncertain => 1, walks => [$walk{gradio}],
        line => 'sticky mode=query name=session_hash from=query,json,segment:/gradio_api/heartbeat/'
            . ' learn=request;',
    },
    {
        title => 'python-socketio', upstream => 'python_socketio', walks => [$walk{python_socketio}],
        line => 'sticky mode=query name=sid from=query learn=json;',
    },
    {
        title => 'NiceGUI', upstream => 'nicegui', walks => [$walk{nicegui}],
        line => 'sticky mode=query name=client_id from=query learn=script;',
    },
]);
# Where all visitors come to their downloads, the id in these paths would be proposed, which frames of a WebSocket
# hand out.
proposes($t, 'python-apps.conf', [{
    title => 'Shiny', upstream => 'shiny', uncertain => 1, walks => [$walk{shiny}],
    line => 'sticky;',
}], balancer => 'hash $remote_addr;');
