#!/usr/bin/perl

# Tests for who may do something by hand: with bare `rw` clients on this machine, and no browser that
# was led here; with `rw=$variable` those for whom it says so. Without them a page of another site
# empties a server.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Hands;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(57);

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    upstream u {
        sticky mode=query zone=u:128k;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream other {
        sticky;
        server 127.0.0.1:8081;
    }

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8084 proxy_protocol;
        server_name  localhost;

        client_max_body_size 10m;

        location / {
            proxy_pass http://u;
        }

        location /sticky {
            sticky_status rw;
        }

        location /read {
            sticky_status;
        }

        location /named {
            sticky_status rw=$arg_user;
        }

        location /some {
            sticky_status rw upstream=other;
        }

        location /limited {
            client_max_body_size 10;
            sticky_status rw;
        }
    }
}

EOC

$t->run();

my $server = port_of('A');
my $drain = 'action=drain&upstream=u&server=' . $server =~ s/:/%3A/r;
my @client = ('X-Sticky' => 1);

sub is_drained { return !!server_in('u', 'A')->{drain} }

# Sends an order, and tells whether it was carried out.
sub tried {
    my ($uri, $body, @headers) = @_;
    my $reply = post($uri, $body, @headers);
    my $has_done = is_drained();
    order(action => 'undrain', upstream => 'u', server => $server) if $has_done;
    return code($reply) . ($has_done ? ' done' : '');
}

is(tried('/sticky', $drain, @client), '200 done', 'a client on this machine');
is(tried('/sticky/json', $drain, @client), '200 done', 'the same in JSON');
is(tried('/sticky/', $drain, @client), '200 done', 'with a slash');
is(tried('/sticky', $drain, @client, Host => $_), '200 done', "Host: $_")
    for '127.0.0.1', 'LOCALHOST', 'localhost:8080', '[::1]:8080', '10.1.2.3';

# Rebinding: a name of somebody else that points here.

is(tried('/sticky', $drain, @client, Host => $_), '403', "Host: $_")
    for 'evil.example', 'localhost.evil.example', 'a.localhost';
like(post('/sticky/json', $drain, @client, Host => 'evil.example'),
    qr/with \\"rw\\" alone Host must be \\"localhost\\" or an address/, 'it says why');

# Through a proxy everybody is on this machine.

is(tried('/sticky', $drain, @client, $_ => '10.1.2.3'), '403', "through a proxy: $_")
    for qw/ X-Forwarded-For Forwarded Via x-forwarded-for /;
like(post('/sticky/json', $drain, @client, Via => '1.1 x'),
    qr/has come through a proxy, use \\"rw=\$variable\\"/, 'it says why');
my $proxied = http("PROXY TCP4 10.1.2.3 127.0.0.1 1 2\x0d\x0aPOST /sticky HTTP/1.0\x0d\x0a"
    . "Host: localhost\x0d\x0aX-Sticky: 1\x0d\x0aContent-Type: application/x-www-form-urlencoded\x0d\x0a"
    . 'Content-Length: ' . length($drain) . "\x0d\x0a\x0d\x0a$drain", PeerAddr => '127.0.0.1:' . port(8084));
is(code($proxied), 403, 'by the PROXY protocol');
ok(!is_drained(), 'nothing is done');

# What other sites can send: no header of their own, and no token.

is(tried('/sticky', $drain), '403', 'a form of another site');
is(tried('/sticky', "$drain&token="), '403', 'an empty token');
is(tried('/sticky', "$drain&token=" . '0' x 32), '403', 'a token that is none');
is(tried('/sticky', $drain, 'X-Sticky' => 0), '403', 'X-Sticky: 0');
is(tried('/sticky', $drain, @client, 'Content-Type' => $_), '415', $_)
    for 'text/plain', 'multipart/form-data; boundary=x', 'application/json';
my ($token) = get('/sticky') =~ /name="token" value="([0-9a-f]{32})"/;
is(tried('/sticky', "$drain&token=$token"), '200 done', 'a form of the page');
my ($alices) = get('/named?user=alice') =~ /name="token" value="([0-9a-f]{32})"/;
is(tried('/named?user=alice', "$drain&token=$alices"), '200 done', 'a form of her page');
is(tried('/named?user=bob', "$drain&token=$alices"), '403', 'is none of another one');
is(tried('/sticky', "$drain&token=$alices"), '403', 'nor of another page');
unlike(get('/read'), qr/name="token"/, 'a page without rw has none');
unlike(get('/sticky', Host => 'evil.example'), qr/name="token"/, 'nor has one under another name');
unlike(get('/sticky/json') . get('/sticky/metrics'), qr/\Q$token\E/, 'JSON and metrics have none');

# The page asks before servers lose something.

my $forget = "action=forget&upstream=u&server=127.0.0.1%3A" . port(8081) . "&token=$token";
my $asked = post('/sticky', $forget);
like($asked, qr/Forget all sessions of server &quot;127/, 'the page asks');
like($asked, qr/name="confirm" value="1"><button>Yes</, 'with a form that says yes');
like(post('/sticky', "$forget&confirm=1"), qr/are forgotten.*0 sessions/, 'and does it then');
is(code(post('/sticky/json', $forget)), 409, 'in JSON the same');

# Other methods.

get("/sticky?$drain&token=$token", @client);
ok(!is_drained(), 'GET does nothing');
is(code(send_request('PUT', '/sticky', @client)), 405, 'PUT');
is(header('Allow', send_request('DELETE', '/sticky', @client)), 'GET, HEAD', 'DELETE');
is(tried('/sticky/metrics', $drain, @client), '405', 'metrics take no POST');
is(tried('/sticky/other', $drain, @client), '404', 'nor does what is not there');

# Without rw, and with a variable.

is(tried('/read', $drain, @client), '403', 'without rw');
is(tried('/named', $drain, @client), '403', 'rw=$variable: empty');
is(tried('/named?user=0', $drain, @client), '403', '0');
is(tried('/named?user=alice', $drain, @client, 'X-Forwarded-For' => '10.1.2.3', Host => 'sticky.example'),
    '200 done', 'a name, from anywhere');
like($t->read_file('error.log'), qr/sticky: "alice" at 127.0.0.1: server/, 'which the log has');
is(tried('/named?user=alice', $drain), '403', 'also a form of another site does nothing then');
is(tried('/some', $drain, @client), '404', 'an upstream that is not shown here');

# Much, and slowly.

is(tried('/sticky', "$drain&for=" . '1' x 20000, @client), '413', 'a large body');
is(tried('/limited', $drain, @client), '413', 'client_max_body_size');
my $chunks = join '', map { sprintf "%x\x0d\x0a%s\x0d\x0a", length $_, $_ } ('x' x 4000) x 10;
my $chunked = http("POST /sticky HTTP/1.1\x0d\x0aHost: localhost\x0d\x0aX-Sticky: 1\x0d\x0aConnection: close\x0d\x0a"
    . "Content-Type: application/x-www-form-urlencoded\x0d\x0aTransfer-Encoding: chunked\x0d\x0a\x0d\x0a"
    . "${chunks}0\x0d\x0a\x0d\x0a");
is(code($chunked), 413, 'a large body in chunks');

my $socket = http("POST /sticky HTTP/1.0\x0d\x0aHost: localhost\x0d\x0aX-Sticky: 1\x0d\x0a"
    . "Content-Type: application/x-www-form-urlencoded\x0d\x0a"
    . 'Content-Length: ' . length($drain) . "\x0d\x0a\x0d\x0a" . substr($drain, 0, 9), start => 1);
is(code(get('/')), 200, 'while one is slow, others are served');
$socket->print(substr $drain, 9);
is(code(reply_of($socket)), 200, 'a body in two pieces');
ok(is_drained(), 'is carried out');
order(action => 'undrain', upstream => 'u', server => $server);

# Names that would break out of the log, the header or the page.

my $reply = post('/sticky/json', 'action=drain&upstream=u%0d%0aSet-Cookie:%20a=b&server=x', @client);
unlike($reply, qr/^Set-Cookie/m, 'no header of theirs');
my $script = post('/sticky', 'action=drain&upstream=u&server=%3Cscript%3E&for=%3Cscript%3E', @client);
unlike($script =~ s/<script>\(function.*?<\/script>//sr, qr/<script/, 'no script of theirs');
