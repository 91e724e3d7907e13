#!/usr/bin/perl

# Tests for the configurations in nginx-conf/; without them an example that we publish could be
# refused, or not do what it says. Only what is particular to the test is put in: where the module
# is, and the ports.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;

use File::Spec;
use IO::Socket::INET;

my $examples = File::Spec->catdir($FindBin::Bin, '..', 'nginx-conf');
my $t;
my %walk = (
    'query.conf' => sub {
        my ($sid) = get('/') =~ /\?sid=(\w+)/;
        return map { get("/?sid=$sid") } 1 .. 8;
    },
    'cookie.conf' => sub {
        my ($cookie) = get('/') =~ /^Set-Cookie: (\w+=\w+)/m;
        return map { get('/', "Cookie: $cookie") } 1 .. 8;
    },
);
$walk{'agents.conf'} = sub {
    return map { get('/', 'X-Session-ID' => 'made-by-the-client') } 1 .. 8;
};
$walk{'log.conf'} = sub {
    my ($sid) = get('/') =~ /\?sid=(\w+)/;
    my @replies = map { get("/?sid=$sid") } 1 .. 8;
    # Of the same session in all lines, by its hash, and without its id.
    my $log = '';
    eventually(sub {
        open my $handle, '<', $t->testdir() . '/logs/sticky.log' or return;
        $log = do { local $/; <$handle> };
        return ($log =~ tr/\n//) >= 9;
    });
    my ($new, @more) = grep { / NEW / } my @all = split /\n/, $log;
    my ($hash) = $new =~ /" 200 NEW from=none hash=([0-9a-f]{8}) age=- learned="html:1" skipped="-" to=shop /
        or return;
    my $known = qr/" 200 HIT from=query:sid hash=$hash age=\d+ learned="-" skipped="-" to=shop at="[\d.:]+" /;
    return $log =~ /$sid/ || @more || 8 != grep({ /$known/ } @all) ? () : @replies;
};
$walk{'rewrite.conf'} = sub {
    my ($route) = get('/') =~ /[?;](route=\w+)/;
    return map { get("/?sid=1&$route") } 1 .. 8;
};
$walk{'selenium.conf'} = sub {
    my ($id) = post('/session', '{}') =~ /"sessionId":"(\w+)"/;
    return map { get("/session/$id/url") } 1 .. 8;
};
$walk{'jupyter.conf'} = sub {
    my ($session, $kernel) = post('/api/sessions', '{}') =~ /"id":"(\w+)"/g;
    return map { (get("/api/sessions/$session"), get("/api/kernels/$kernel/channels")) } 1 .. 4;
};
$walk{'uploads.conf'} = sub {
    my ($id) = header('Location', post('/files/', '')) =~ m!^/files/(\w+)$!;
    my @uploads = map { get("/files/$id") } 1 .. 8;
    my ($state) = header('Location', get('/v2/a/b/blobs/uploads/')) =~ /_state=(\w+)/;
    # Of two upstreams, each has its own way: counted as one if each stays.
    my %servers = map { served_by($_) => 1 } map { get("/v2/a/b/blobs/uploads/?_state=$state") } 1 .. 8;
    return keys %servers == 1 ? @uploads : ();
};
$walk{'status.conf'} = sub {
    my ($sid) = get('/') =~ /\?sid=(\w+)/;
    my @replies = map { get("/?sid=$sid") } 1 .. 8;
    my ($page, $all) = map { get($_) } '/shop-sessions', '/shop-sessions/metrics';
    my $metrics = send_request('GET', '/metrics', { PeerAddr => '127.0.0.1:' . port(8090) });
    my $is_shown = $page =~ /id="u0">shop</ && $page !~ /forum/ && $all !~ /forum/
        && $metrics =~ /upstream="forum"/;
    return $is_shown ? @replies : ();
};
# Where new sessions begin.
my %start = ('uploads.conf' => '/files/');
# With real applications, see t/apps; Guacamole in sticky_patterns_tunnels.t, the router and
# tenants in sticky_conf_router.t and sticky_conf_tenants.t, the cluster in tools_demo_cluster.t.
my %elsewhere = map { ("$_.conf" => 1) } qw/
    a2a bosh cluster digest guacamole llm mcp oidc php php-fpm python-apps realtime router socketio tenants tomcat
    trino
/;
my @files = sort grep { !$elsewhere{$_} } map { /([^\/]+)$/ } glob "$examples/*.conf";

plan(skip_all => 'no examples') unless @files;
my $tests = 1 + 3 * @files;
$t = Test::Nginx->new()->has(qw/ http proxy upstream_keepalive /)->plan($tests);

is_deeply(\@files, [sort keys %walk], 'every example is tested here');

$t->run_daemon(\&shop, port($_)) for 8081 .. 8086;
$t->waitforsocket('127.0.0.1:' . port($_)) for 8081 .. 8086;
mkdir $t->testdir() . '/logs';

for my $file (@files) {
    open my $handle, '<', "$examples/$file" or die "$file: $!\n";
    my $text = do { local $/; <$handle> };
    close $handle;

    my $loads = $text =~ s/^load_module modules\/ngx_http_sticky_rs\.so;$/%%TEST_GLOBALS%%\ndaemon off;/m;
    ok($loads, "$file: loads the module");
    $text =~ s/^pid .*$//m;
    $t->write_file_expand('nginx.conf', $text)->run();

    my %servers = map { /^X-Server: (\w+)/m ? ($1 => 1) : (none => 1) } $walk{$file}->();
    is(keys %servers, 1, "$file: a session stays at its server");
    my %others = map { get($start{$file} // '/') =~ /^X-Server: (\w+)/m; ($1 => 1) } 1 .. 12;
    cmp_ok(keys %others, '>', 1, "$file: new sessions go to all");
    $t->stop();
}

# A page with a new session id for each request that has none; what the path asks for, else.
sub shop {
    my ($port) = @_;
    my $server = IO::Socket::INET->new(
        Proto => 'tcp', LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 5, Reuse => 1,
    ) or die "no socket: $!\n";

    local $SIG{PIPE} = 'IGNORE';
    my $count = 0;
    while (my $client = $server->accept()) {
        my $request = '';
        while ($request !~ /\r\n\r\n/) {
            sysread($client, $request, 4096, length $request) or last;
        }
        my ($sid) = $request =~ /\?sid=(\w+)/;
        $sid //= "s${port}x" . ++$count;
        my ($method, $path) = $request =~ /^(\w+) ([^ ?]*)/ or next;
        my ($type, $page) = ('text/html', "<html><a href=\"/?sid=$sid\">more</a></html>");
        my $location = '';
        if ($path eq '/session') {
            ($type, $page) = ('application/json', "{\"value\":{\"sessionId\":\"$sid\"}}");
        } elsif ($path eq '/api/sessions') {
            ($type, $page) = ('application/json', "{\"id\":\"$sid\",\"kernel\":{\"id\":\"k$sid\"}}");
        } elsif ($path eq '/files/') {
            $location = "Location: /files/$sid\r\n";
        } elsif ($path =~ m!^/v2/!) {
            $location = "Location: ${path}x?_state=$sid\r\n";
        }
        syswrite($client, "HTTP/1.1 200 OK\r\nContent-Type: $type\r\nConnection: close\r\n$location"
            . "X-Server: s$port\r\nContent-Length: " . length($page) . "\r\n\r\n$page");
        close $client;
    }
}
