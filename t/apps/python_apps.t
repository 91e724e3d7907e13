#!/usr/bin/perl

# Tests for nginx-conf/python-apps.conf: Gradio and python-socketio by their clients, NiceGUI
# and Shiny in Chromium; without it a session's requests reach servers that do not know it.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sticky::Test;
use Sticky::Apps qw/ apps app backends holds /;

my $folder = apps('apps-python/bin/python', '/usr/bin/chromedriver');
my $python = "$folder/apps-python/bin/python";

my $t = Test::Nginx->new()->has(qw/ http proxy map /)->plan(9);

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
holds($t, 'python-apps.conf', [
    ['Gradio', 18, $python, app('gradio/client.py'), $url{gradio}, 18, 5],
    ['python-socketio', 12, $python, app('python_socketio/client.py'), $url{python_socketio}, 12, 4],
    ['NiceGUI', 12, $python, app('lib/clicks.py'), $url{nicegui}, 12, 3],
    ['Shiny', 8, $python, app('lib/clicks.py'), $url{shiny}, 8, 3, 'download'],
]);
