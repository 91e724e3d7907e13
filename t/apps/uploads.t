#!/usr/bin/perl

# Tests for nginx-conf/uploads.conf: uploads by tus, and images that skopeo copies to Docker
# registries; without it the pieces of an upload reach servers that did not begin it.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sticky::Test;
use Sticky::Apps qw/ apps app backends holds /;
use Sticky::AppsDiscovered qw/ proposes /;

my $folder = apps('apps-node/node_modules', '/usr/bin/docker-registry', '/usr/bin/skopeo');
$ENV{NODE_PATH} = "$folder/apps-node/node_modules";

my $t = Test::Nginx->new()->has(qw/ http proxy /)->plan(11);

my $dir = $t->testdir();
backends($t, sub {
    my ($port, $name) = @_;
    mkdir "$dir/tus-$port";
    return ('node', app('tus/server.js'), $port, $name, "$dir/tus-$port");
}, 8081 .. 8083);
# All registries have one store. The state of an upload is sealed with the secret of the one that
# began it.
mkdir "$dir/store";
backends($t, sub {
    my ($port, $name) = @_;
    $t->write_file("registry-$port.yml", <<"EOF");
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $dir/store}}
http: {addr: "127.0.0.1:$port", secret: $name, relativeurls: true}
EOF
    return ('docker-registry', 'serve', "$dir/registry-$port.yml");
}, 8084 .. 8086);

my $images = 12;
my $walk = app('registry/copies.py');
my @walks = (
    ['tus', 24, 'node', app('tus/client.js'), 'http://127.0.0.1:' . port(8080), 24],
    ['images', $images, '/usr/bin/python3', $walk, '127.0.0.1:' . port(8080), $images, "$dir/images"],
);
holds($t, 'uploads.conf', [@walks]);
proposes($t, 'uploads.conf', [
    {
        title => 'tus', upstream => 'tus', walks => [$walks[0]],
        line => 'sticky mode=query from=segment:/files/ learn=location;',
    },
    {
        title => 'registry', upstream => 'registry', walks => [$walks[1]],
        line => 'sticky mode=query name=_state;',
    },
]);
