#!/usr/bin/perl

# Tests for nginx-conf/jupyter.conf: kernels of Jupyter Server, over HTTP and WebSocket;
# without it a kernel's requests reach servers that do not have it.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sticky::Test;
use Sticky::Apps qw/ apps app backends holds /;
use Sticky::AppsDiscovered qw/ proposes /;

my $folder = apps('apps-python/bin/python');
my $python = "$folder/apps-python/bin/python";

my $t = Test::Nginx->new()->has(qw/ http proxy map /)->plan(6);

# Each server has a home of its own, as on a machine of its own.
my $home = $t->testdir() . '/jupyter';
backends($t, sub {
    my ($port, $name) = @_;
    return ('env', "HOME=$home-$port", "JUPYTER_RUNTIME_DIR=$home-$port", "SERVER_NAME=$name", $python, '-m',
        'jupyter_server', '--ip=127.0.0.1', "--port=$port", '--no-browser', '--allow-root',
        '--IdentityProvider.token=', '--ServerApp.disable_check_xsrf=True');
}, 8081 .. 8083);
my $url = 'http://127.0.0.1:' . port(8080);
my $walk = ['kernels', 12, $python, app('jupyter/client.py'), $url, 12, 4];
holds($t, 'jupyter.conf', [$walk]);
proposes($t, 'jupyter.conf', [{
    title => 'Jupyter Server', upstream => 'jupyter', walks => [$walk],
    line => 'sticky mode=query from=segment:/api/kernels/ learn=location,json:.id;',
}]);
