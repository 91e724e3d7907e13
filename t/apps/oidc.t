#!/usr/bin/perl

# Tests for nginx-conf/oidc.conf: logins at an OpenID provider, by openid-client; without
# it no login comes about.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sticky::Test;
use Sticky::Apps qw/ apps app backends holds /;
use Sticky::AppsDiscovered qw/ proposes /;

my $folder = apps('apps-node/node_modules');
$ENV{NODE_PATH} = "$folder/apps-node/node_modules";

my $t = Test::Nginx->new()->has(qw/ http proxy /)->plan(7);

my $url = 'http://127.0.0.1:' . port(8080);
backends($t, sub { return ('node', app('oidc/server.js'), @_, $url) }, 8081 .. 8083);
my $walk = ['logins', 24, 'node', app('oidc/client.js'), $url, 24];
holds($t, 'oidc.conf', [$walk]);
proposes($t, 'oidc.conf', [{
    title => 'oidc-provider', upstream => 'provider', walks => [$walk],
    line => 'sticky mode=query name=_interaction_resume name=_interaction'
        . ' from=cookie,segment:/interaction/,segment:/auth/ learn=cookie,location;',
    others => [
        'sticky mode=query name=_session from=cookie learn=cookie;',
        'sticky mode=query from=bearer learn=json:access_token;',
        'sticky mode=query name=code;',
    ],
    besides => 'hosts=shop.test',
}], balancer => 'hash $remote_addr;');
