#!/usr/bin/perl

# Tests for answers that hand the request over with X-Accel-Redirect: nginx passes their cookies on
# to the client; without it, the session of one who signs in and gets a protected file is lost.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;

my $t = Test::Nginx->new()->has(qw/http proxy/)->plan(19);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    upstream learned {
        sticky mode=query from=query,cookie learn=cookie;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream digest {
        sticky hash=index;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream hidden {
        sticky hash=index hide_cookie;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    log_format status '$request_uri $sticky_status $upstream_addr';

    server {
        listen       127.0.0.1:8080;
        access_log   %%TESTDIR%%/status.log status;

        location /file { internal; }
        location /stored { internal; proxy_pass http://127.0.0.1:8083; }
        location @named { add_header X-Named 1; return 200 "named"; }

        location /learned/ {
            add_header X-Status $sticky_status always;
            proxy_pass http://learned/;
        }
        location /ignored/ {
            add_header X-Status $sticky_status always;
            proxy_ignore_headers X-Accel-Redirect;
            proxy_pass http://learned/;
        }
        location /digest/ {
            proxy_pass http://digest/;
        }
        location /hidden/ {
            proxy_pass http://hidden/;
        }
    }

    server {
        listen  127.0.0.1:8081;
        listen  127.0.0.1:8082;
        add_header X-Accel-Redirect $arg_to always;
        add_header Set-Cookie sid=$arg_set always;
        add_header X-Server $server_port;
        location / { return 200 "ok"; }
        location /error { return 503; }
    }

    server {
        listen  127.0.0.1:8083;
        location / { return 200 "stored"; }
    }
}

EOC

$t->write_file('file', 'a file');
$t->run();

my %kinds = (plain => '', file => '/file', proxied => '/stored', named => '@named');
for my $kind (sort keys %kinds) {
    my $reply = http_get("/learned/?set=$kind&to=$kinds{$kind}");
    like($reply, qr/^Set-Cookie: sid=$kind\x0d$/m, "$kind: the client gets the cookie");
    like(http_get("/learned/?sid=$kind"), qr/^X-Status: HIT/m, "$kind: and comes back");
}
like(http_get('/learned/?set=file&to=/file'), qr/a file$/, 'a file is sent');
like(http_get('/learned/?set=file&to=/stored'), qr/stored$/, 'so is what another server has');

# A session that is there stays, and so does what a 5xx hands out unknown.

my ($home) = http_get('/learned/?sid=file') =~ /^X-Server: (\d+)/m;
http_get('/learned/?set=file&to=/file&sid=file') for 1 .. 4;
like(http_get('/learned/?sid=file'), qr/^X-Server: $home\x0d$/m, 'the session stays where it is');
http_get('/learned/error?set=broken&to=/file');
like(http_get('/learned/?sid=broken'), qr/^X-Status: MISS/m, 'nothing is learned from an error');
http_get('/ignored/?set=ignored&to=/file');
like(http_get('/ignored/?sid=ignored'), qr/^X-Status: HIT/m, 'X-Accel-Redirect that is ignored');

# The cookie of mode=cookie.

my @servers;
for my $kind (qw/ file proxied named /) {
    my $reply = http_get("/digest/?set=a&to=$kinds{$kind}");
    my ($route) = $reply =~ /^Set-Cookie: route=(\d)/m;
    ok(defined $route, "$kind: the server is named");
    push @servers, $route;
}
cmp_ok(scalar(grep { defined } @servers), '==', 3, 'three times');
unlike(http_get('/hidden/?set=a&to=/file'), qr/route=/, 'no cookie with hide_cookie');

$t->stop();
my $log = $t->read_file('status.log');
my ($named) = $log =~ m!^/digest/\?set=a&to=/file \S+ (\S+)$!m;
is($named, '127.0.0.1:' . port(8081 + ($servers[0] // 9)), 'it is the one that has answered');
