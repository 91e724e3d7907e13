#!/usr/bin/perl

# Tests for nginx-conf/router.conf; without them the router that we publish could send a session of
# one service elsewhere, or answer a monitor while a database is gone. The database is a small
# stand-in that each service asks for a word.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Readme qw/ published_text /;

use IO::Select;
use IO::Socket::INET;

my $t = Test::Nginx->new()->has(qw/ http proxy upstream_keepalive /)->plan(24);

my $statsd = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1') or die "no socket: $!";
my $statsd_port = $statsd->sockport();

my $text = published_text('router.conf');
ok($text =~ s/^load_module modules\/ngx_http_sticky_rs\.so;$/%%TEST_GLOBALS%%\ndaemon off;/m,
    'loads the module');
ok($text =~ s/127\.0\.0\.1:8125/127.0.0.1:$statsd_port/, 'statsd');
ok($text =~ s/^error_log (.*) error;/error_log $1 error;/m, 'errors alone are logged');
$text =~ s/^pid .*$//m;

my %letters = map { 8080 + $_ => chr(64 + $_) } 1 .. 6;
$t->run_daemon(\&database, port(8087));
$t->run_daemon(\&service, port($_), $letters{$_}, port(8087)) for sort keys %letters;
$t->waitforsocket('127.0.0.1:' . port($_)) for 8081 .. 8087;
mkdir $t->testdir() . '/logs';
$t->write_file_expand('nginx.conf', $text);
$t->run();

# Each service, and its sessions.

my %pages = (shop => '/', forum => '/forum/', api => '/api/');
my %both = (shop => 'AB', forum => 'CD', api => 'EF');
for my $service (sort keys %pages) {
    my $path = $pages{$service};
    my %home;
    for my $number (1 .. 8) {
        my $first = $service eq 'api' ? get($path, 'X-Session-ID' => "client$number") : get($path);
        my ($sid) = $first =~ /\?sid=(\w+)/;
        my ($cookie) = $first =~ /^Set-Cookie: (route=\w+)/m;
        my @again = map {
            $service eq 'shop' ? get("$path?sid=$sid")
                : $service eq 'forum' ? get($path, Cookie => $cookie)
                : get($path, 'X-Session-ID' => "client$number");
        } 1 .. 4;
        my %servers = map { (served_by($_) // 'none') => 1 } $first, @again;
        $home{ join '', sort keys %servers }++;
    }
    is(join('', sort keys %home), $both{$service}, "$service: new sessions go to both");
    is(scalar(grep { length == 1 } keys %home), 2, "$service: each session stays");
}

# A monitor.

for my $service (sort keys %pages) {
    my @replies = map { get("/ping/$service") } 1 .. 4;
    is(join(' ', map { code($_) } @replies), '200 200 200 200', "/ping/$service");
    like($replies[0], qr/pong from the database/, "/ping/$service: from the database");
    my %servers = map { served_by($_) => 1 } @replies;
    is(join('', sort keys %servers), $both{$service}, "/ping/$service: each server in turn");
}

# While the database is gone.

$t->write_file('database_gone', '');
for my $service (sort keys %pages) {
    is(code(get("/ping/$service")), 503, "/ping/$service: no database");
}
unlink $t->testdir() . '/database_gone';
is(code(get('/ping/shop')), 200, 'it is back');

# Counters, and the log.

my %sums;
my $select = IO::Select->new($statsd);
ok(eventually(sub {
    while ($select->can_read(0)) {
        $statsd->recv(my $packet, 65536);
        /^router\.upstream\.(\w+)\.requests\.(\w+):(\d+)\|c$/ and $sums{"$1 $2"} += $3 for split /\n/, $packet;
    }
    return ($sums{'shop HIT'} // 0) == 32 && ($sums{'forum HIT'} // 0) == 32;
}), 'statsd gets the counters of the services');
my $page = send_request('GET', '/', { PeerAddr => '127.0.0.1:' . port(8090) });
like($page, qr/Sessions hold/, 'the page of operators');

sub database {
    my ($port) = @_;
    serve($port, sub {
        my ($client) = @_;
        syswrite($client, "pong from the database\n") if !-e $t->testdir() . '/database_gone';
    });
}

sub service {
    my ($port, $letter, $database) = @_;
    my $count = 0;
    serve($port, sub {
        my ($client) = @_;
        my $request = read_until($client, qr/\x0d\x0a\x0d\x0a/);
        my ($path) = ($request // q()) =~ /^\w+ ([^ ]+)/ or return;
        my ($status, $page) = ('200 OK', '');
        if ($path eq '/ping') {
            my $asked = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$database");
            $page = $asked ? <$asked> // '' : '';
            $status = '503 Service Unavailable' if $page eq '';
        } elsif ($letter =~ /[AB]/) {
            my ($sid) = $path =~ /\?sid=(\w+)/;
            $sid //= "s$letter" . ++$count;
            $page = link_to($sid);
        }
        syswrite($client, "HTTP/1.1 $status\x0d\x0aContent-Type: text/html\x0d\x0aX-Server: $letter\x0d\x0a"
            . 'Content-Length: ' . length($page) . "\x0d\x0aConnection: close\x0d\x0a\x0d\x0a$page");
    });
}

sub serve {
    my ($port, $answer) = @_;
    my $server = IO::Socket::INET->new(
        Proto => 'tcp', LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 5, Reuse => 1,
    ) or die "no socket: $!\n";
    local $SIG{PIPE} = 'IGNORE';
    while (my $client = $server->accept()) {
        $answer->($client);
        close $client;
    }
}
