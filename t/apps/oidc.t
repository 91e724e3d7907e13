#!/usr/bin/perl

# Tests for nginx-conf/oidc.conf: logins at an OpenID provider, by openid-client; without
# it no login comes about.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sticky::Test;
use Sticky::Apps qw/ apps app backends holds /;

my $folder = apps('apps-node/node_modules');
$ENV{NODE_PATH} = "$folder/apps-node/node_modules";

my $t = Test::Nginx->new()->has(qw/ http proxy /)->plan(3);

my $url = 'http://127.0.0.1:' . port(8080);
backends($t, sub { return ('node', app('oidc/server.js'), @_, $url) }, 8081 .. 8083);
holds($t, 'oidc.conf', [['logins', 24, 'node', app('oidc/client.js'), $url, 24]]);
