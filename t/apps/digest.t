#!/usr/bin/perl

# Tests for nginx-conf/digest.conf: Digest authentication by httpd; without it its nonces reach
# servers that did not make them.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sticky::Test;
use Sticky::Apps qw/ apps app backends holds /;
use Sticky::AppsDiscovered qw/ proposes /;

my $folder = apps('apps-python/bin/python', '/usr/lib/apache2/modules/mod_auth_digest.so');
my $python = "$folder/apps-python/bin/python";

my $t = Test::Nginx->new()->has(qw/ http proxy /)->plan(6);

my $dir = $t->testdir();
mkdir "$dir/www";
$t->write_file('www/page.txt', "page\n");
# MD5 of alice:shop:secret
$t->write_file('users', "alice:shop:ade4164b9980e8f95965385543676594\n");
chmod 0755, $dir, "$dir/www";
backends($t, sub {
    my ($port, $name) = @_;
    $t->write_file("httpd-$port.conf", configuration($port, $name));
    return ('apache2', '-f', "$dir/httpd-$port.conf", '-D', 'FOREGROUND');
}, 8081 .. 8083);
my $url = 'http://127.0.0.1:' . port(8080);
my $walk = ['clients', 24, $python, app('digest/client.py'), $url, 24, 6];
holds($t, 'digest.conf', [$walk]);
proposes($t, 'digest.conf', [{
    title => 'Digest of httpd', upstream => 'servers', walks => [$walk],
    line => 'sticky mode=query from=header:Authorization:nonce learn=header:Www-Authenticate:nonce;',
}]);

sub configuration {
    my ($port, $name) = @_;
    my @modules = qw/ mpm_event authn_core authn_file authz_core authz_user auth_digest headers /;
    my $modules = join "\n", map { "LoadModule ${_}_module /usr/lib/apache2/modules/mod_$_.so" } @modules;
    return <<"EOF";
ServerRoot $dir
ServerName 127.0.0.1
Listen 127.0.0.1:$port
PidFile httpd-$port.pid
ErrorLog httpd-$port.log
$modules
User nobody
Group nogroup
Header always set X-Backend $name
DocumentRoot $dir/www
<Directory $dir/www>
    AuthType Digest
    AuthName shop
    AuthUserFile $dir/users
    Require valid-user
</Directory>
EOF
}
