#!/usr/bin/perl

# Tests for the line that is written first, `sticky mode=query name=JSESSIONID;` or
# `name=PHPSESSID`, before servers that hand their sessions out as Tomcat and PHP do: a cookie, and
# the id in links and forms until that comes back. Without the defaults of from= and learn= these
# lines keep no session of a client with cookies, and none of Tomcat's at all.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;

use IO::Socket::INET;

my @upstreams = (
    ['tomcat', 'name=JSESSIONID'],
    ['php', 'name=PHPSESSID'],
    ['tomcat_before', 'name=JSESSIONID from=query,form learn=html,location'],
    ['php_before', 'name=PHPSESSID from=query,form learn=html,location'],
);
my $sessions = 60;

my $t = Test::Nginx->new()->has(qw/http proxy/)->plan(12);

my $servers = join ' ', map { "server 127.0.0.1:$_ max_fails=0;" } 8081 .. 8083;
my $blocks = join "\n", map { "upstream $$_[0] { sticky mode=query $$_[1]; $servers }" } @upstreams;
my $locations = join "\n", map {
    my $app = $$_[0] =~ s/_.*//r;
    "location /$$_[0]/ { proxy_pass http://$$_[0]; proxy_set_header X-App $app; }";
} @upstreams;

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;
worker_processes 4;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    $blocks

    server {
        listen      127.0.0.1:8080;
        server_name localhost;
        add_header  X-Status \$sticky_status always;

        $locations
    }
}

EOC

$t->run_daemon(\&application, port($_)) for 8081 .. 8083;
$t->waitforsocket('127.0.0.1:' . port($_)) for 8081 .. 8083;
$t->run();

for my $app (qw/ tomcat php /) {
    for my $with_cookies (1, 0) {
        my $clients = $with_cookies ? 'with cookies' : 'without cookies';
        is(astray("/$app/", $with_cookies), 0, "$app, $clients: none of $sessions astray");
        next if $app eq 'php' && !$with_cookies;
        cmp_ok(astray("/${app}_before/", $with_cookies), '>', 0, "$app, $clients: by other places");
    }
}

# In paths, case does not matter, in all other places it does.

my $reply = get('/tomcat/');
my ($id) = $reply =~ /;jsessionid=(\w+)/;
my $mixed = get("/tomcat/next;JSessionID=$id");
is(status($mixed), 'HIT', 'a name in another case in the path of a request');
is(status(get("/tomcat/next?jsessionid=$id")), 'NEW', 'not in a query');
is(status(get('/tomcat/next', Cookie => "jsessionid=$id")), 'NEW', 'nor as a cookie');

# A posted link does not override the cookie.

my ($own) = get('/php/') =~ /PHPSESSID=(\w+)/;
my $other = $own;
for (1 .. 12) {
    my $page = get('/php/');
    ($other) = $page =~ /PHPSESSID=(\w+)/;
    last if served_by($page) ne served_by(get('/php/next', Cookie => "PHPSESSID=$own"));
}
my $home = served_by(get('/php/next', Cookie => "PHPSESSID=$own"));
my $followed = get("/php/next?PHPSESSID=$other", Cookie => "PHPSESSID=$own");
is(served_by($followed), $home, 'a link with the id of somebody else: the cookie counts');
isnt(served_by(get("/php/next?PHPSESSID=$other")), $home, 'which is at another server');

###############################################################################

# How many sessions come to a server that does not know them, of clients that take cookies or not.
# They go on in turns.
sub astray {
    my ($start, $with_cookies) = @_;
    my @clients = map { { link => $start, count => 0 } } 1 .. $sessions;
    for my $step (1 .. 5) {
        for my $client (grep { !$_->{lost} } @clients) {
            my @cookie = defined $client->{cookie} ? (Cookie => $client->{cookie}) : ();
            # The third is a form.
            my $reply = $step == 3
                ? post($client->{action}, $client->{fields}, @cookie)
                : get($client->{link}, @cookie);
            $client->{count}++;
            $client->{lost} = header('X-Count', $reply) ne $client->{count};
            my ($set) = map { /^([^;]+)/ } cookies($reply);
            $client->{cookie} = $set if $with_cookies && defined $set;
            my ($place) = header('Location', $reply);
            ($client->{link}) = $place ne '' ? $place : $reply =~ /<a href="([^"]+)"/;
            ($client->{action}) = $reply =~ /<form action="([^"]+)"/;
            $client->{fields} = join '&', 'goods=1', $reply =~ /<input name="(\w+)" value="(\w+)">/
                ? "$1=$2" : ();
        }
    }
    return scalar grep { $_->{lost} } @clients;
}

# A server that counts the requests of its sessions.
sub application {
    my ($port) = @_;
    my $server = IO::Socket::INET->new(
        Proto => 'tcp', LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 64, Reuse => 1,
    ) or die "no socket: $!\n";

    local $SIG{PIPE} = 'IGNORE';
    my (%count, $made);
    while (my $client = $server->accept()) {
        my $request = '';
        until ($request =~ /\r\n\r\n/) {
            sysread($client, $request, 4096, length $request) or last;
        }
        $request =~ /\r\n\r\n/ or next;
        my ($length) = $request =~ /^Content-Length: (\d+)/mi;
        while (defined $length && $request =~ /\r\n\r\n(.*)/s && length $1 < $length) {
            sysread($client, $request, 4096, length $request) or last;
        }
        my ($name) = $request =~ /^X-App: tomcat/mi ? 'JSESSIONID' : 'PHPSESSID';
        my ($cookie) = $request =~ /^Cookie:.*\b$name=(\w+)/m;
        my ($method, $path, $place) = $request =~ m!^(\w+) (/\w+/)(\S*)!;
        my ($body) = $request =~ /\r\n\r\n(.*)/s;
        my ($carried) = $name eq 'JSESSIONID'
            ? $place =~ /;jsessionid=(\w+)/i : "$place&$body" =~ /\b$name=(\w+)/;

        my ($id) = grep { defined && $count{$_} } $cookie, $carried;
        my $is_new = !defined $id;
        $id = sprintf 's%dx%d', $port, ++$made if $is_new;
        $count{$id}++;

        # Until the cookie has come back.
        my $shows_id = !defined $cookie;
        my $link = sub {
            return "$path$_[0]" unless $shows_id;
            return $name eq 'JSESSIONID' ? "$path$_[0];jsessionid=$id" : "$path$_[0]?$name=$id";
        };
        my $field = $shows_id && $name eq 'PHPSESSID' ? qq{<input name="$name" value="$id">} : '';
        my $action = $field ? "${path}buy" : $link->('buy');
        my $page = '<html><a href="' . $link->('next') . qq{">next</a><form action="$action">$field}
            . '</form></html>';
        my @headers = ("X-Server: s$port", "X-Count: $count{$id}", 'Content-Type: text/html',
            'Connection: close', 'Content-Length: ' . length $page);
        push @headers, "Set-Cookie: $name=$id; Path=/; HttpOnly" if $is_new;
        push @headers, 'Location: ' . $link->('bought') if $method eq 'POST';
        my $status = $method eq 'POST' ? '303 See Other' : '200 OK';
        syswrite $client, join("\r\n", "HTTP/1.1 $status", @headers, '', $page);
        close $client;
    }
}
