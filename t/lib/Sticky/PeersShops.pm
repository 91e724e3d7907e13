package Sticky::PeersShops;

# Servers of the shop that Sticky::Peers walks through, one kind per protocol. Each is a function
# for a test: it writes what the server needs into the test's folder and starts it as a daemon of
# the test, under the name of its port.

use strict;
use warnings;

use Exporter qw/ import /;
use IO::Select;
use IO::Socket::INET;

use Sticky::Peers qw/ program /;

our @EXPORT_OK = qw/ http_shop scgi_shop uwsgi_shop php_shops /;

my $CRLF = "\x0d\x0a";

# HTTP/1.0 and 1.1, in perl: an answer to 1.1 is chunked and keeps the connection, one to 1.0 ends
# with it. X-Version tells how nginx has asked, X-Requests the requests of this connection so far.
sub http_shop {
    my ($t, @ports) = @_;
    $t->run_daemon(\&serve_http, $_) for @ports;
}

# SCGI, by Debian's SCGI.pm.
sub scgi_shop {
    my ($t, @ports) = @_;
    $t->run_daemon(\&serve_scgi, $_) for @ports;
}

# uwsgi, with an application in python.
sub uwsgi_shop {
    my ($t, @ports) = @_;

    $t->write_file('shop.py', <<'EOC');
import os, re, urllib.parse

sessions, made, name = {}, [0], os.environ['SHOP']

def application(environ, start_response):
    body = environ['wsgi.input'].read(int(environ.get('CONTENT_LENGTH') or 0)).decode()
    given = urllib.parse.parse_qs(environ.get('QUERY_STRING', '') + '&' + body).get('sid')
    if not given:
        given = re.findall(r'\bsid=(\w+)', environ.get('HTTP_COOKIE', ''))
    action = environ['PATH_INFO'].rpartition('/')[2]
    key = given[0] if given else None
    if key is None:
        made[0] += 1
        key = 'u%sx%d' % (name, made[0])
        sessions[key] = 0
    if key in sessions:
        sessions[key] += 1
        count = str(sessions[key])
        if action == 'renew':
            sessions[key + 'r'] = sessions.pop(key)
            key += 'r'
    else:
        count = 'lost'
    headers = [('Content-Type', 'text/html'), ('X-Server', name), ('X-Count', count),
               ('Set-Cookie', 'sid=' + key)]
    if action == 'redirect':
        start_response('302 Found', headers + [('Location', 'next?sid=' + key)])
        return [b'']
    start_response('200 OK', headers)
    page = ('<a href="next?sid=%s">on</a><form method="post">'
            '<input type="hidden" name="sid" value="%s"></form>' % (key, key))
    return [page.encode()]
EOC

    for my $port (@ports) {
        local $ENV{SHOP} = $port;
        $t->run_daemon(program(qw/ uwsgi-core uwsgi /), '--plugin', 'python3',
            '--socket', "127.0.0.1:$port", '--wsgi-file', $t->testdir() . '/shop.py',
            '--need-app', '--die-on-term', '--logto', $t->testdir() . "/uwsgi-$port.log");
    }
}

# php-fpm with the sessions of PHP, which writes the id into links and forms by itself. Takes names
# of pools and their addresses.
sub php_shops {
    my ($t, %pools) = @_;
    my $dir = $t->testdir();

    # PHP adds nothing to a Location header: applications write the constant SID there.
    $t->write_file('shop.php', <<'EOC');
<?php
$given = $_GET['sid'] ?? $_POST['sid'] ?? $_COOKIE['sid'] ?? null;
session_start();
$action = basename($_SERVER['DOCUMENT_URI']);
$known = isset($_SESSION['count']);
$_SESSION['count'] = ($_SESSION['count'] ?? 0) + 1;
if ($action == 'renew') session_regenerate_id(true);
header('X-Server: ' . $_SERVER['SHOP']);
header('X-Count: ' . ($given !== null && !$known ? 'lost' : $_SESSION['count']));
if ($action == 'redirect') { header('Location: next?' . SID); exit; }
?>
<a href="next">on</a><form method="post"></form>
EOC

    # As root it must be told that this is meant.
    my $user = $> == 0 ? 'user = root' : '';
    my $pools = '';
    for my $pool (sort keys %pools) {
        mkdir "$dir/sessions_$pool" or die "Can't make a folder: $!";
        $pools .= <<"EOC";
[$pool]
$user
listen = $pools{$pool}
pm = static
pm.max_children = 1
env[SHOP] = $pool
php_admin_value[session.save_path] = $dir/sessions_$pool
EOC
    }
    $t->write_file('php-fpm.conf', <<"EOC");
[global]
error_log = $dir/php-fpm.log
daemonize = no
$pools
EOC
    # session.name first, as trans_sid writes it; opcache would keep nothing of use here.
    my @settings = map { ('-d', $_) } 'session.name=sid', 'session.use_trans_sid=1',
        'session.use_only_cookies=0', 'session.use_cookies=1';
    $t->run_daemon(program(map { "php-fpm$_" } '', '8.4', '8.3', '8.2', '8.1', '8.0', '7.4'),
        '-n', '-F', '-y', "$dir/php-fpm.conf", '-p', $dir, @settings, $> == 0 ? '-R' : ());
}

# The shop itself, in perl: status, headers and page of the answer to this request.
sub answer {
    my ($shop, $path, $arguments, $body, $cookie) = @_;

    my ($key) = grep { defined } map { ($_ // '') =~ /\bsid=(\w+)/ } $arguments, $body, $cookie;
    my ($action) = $path =~ m!([^/]*)$!;
    if (!defined $key) {
        $key = "p$shop->{name}x" . ++$shop->{made};
        $shop->{sessions}{$key} = 0;
    }
    my $count = exists $shop->{sessions}{$key} ? ++$shop->{sessions}{$key} : 'lost';
    if ($action eq 'renew' && $count ne 'lost') {
        my $was = $key;
        $key .= 'r';
        $shop->{sessions}{$key} = delete $shop->{sessions}{$was};
    }

    my @headers = ('Content-Type: text/html', "X-Server: $shop->{name}", "X-Count: $count",
        "Set-Cookie: sid=$key");
    return ('302 Found', [@headers, "Location: next?sid=$key"], '') if $action eq 'redirect';
    return ('200 OK', \@headers, qq!<a href="next?sid=$key">on</a><form method="post">!
        . qq!<input type="hidden" name="sid" value="$key"></form>!);
}

sub listener {
    my ($port) = @_;
    return IO::Socket::INET->new(
        Proto => 'tcp', LocalAddr => "127.0.0.1:$port", Listen => 64, ReuseAddr => 1,
    ) || die "Can't listen: $!";
}

sub serve_http {
    my ($port) = @_;
    my $shop = { name => $port };
    my $listener = listener($port);
    my $sockets = IO::Select->new($listener);
    my (%unread, %requests);
    local $SIG{PIPE} = 'IGNORE';

    while (1) {
        for my $socket ($sockets->can_read()) {
            if ($socket == $listener) {
                my $client = $listener->accept() or next;
                $client->autoflush(1);
                $sockets->add($client);
                $unread{$client} = '';
                next;
            }
            my $open = sysread $socket, $unread{$socket}, 65536, length $unread{$socket};
            while ($open && $unread{$socket} =~ /\A(.*?\x0d\x0a)\x0d\x0a/s) {
                my $head = $1;
                my $length = $head =~ /^Content-Length: (\d+)/mi ? $1 : 0;
                last if length $unread{$socket} < length($head) + 2 + $length;
                my $body = substr substr($unread{$socket}, 0, length($head) + 2 + $length, ''),
                    length($head) + 2;
                $open = reply_http($shop, $socket, $head, $body, ++$requests{$socket});
            }
            next if $open;
            $sockets->remove($socket);
            delete @{$_}{$socket} for \%unread, \%requests;
            close $socket;
        }
    }
}

# Answers, and tells whether the connection stays.
sub reply_http {
    my ($shop, $socket, $head, $body, $requests) = @_;
    my ($path, $arguments, $version) = $head =~ m!\A\w+ ([^ ?]*)(\S*) HTTP/(1\.\d)!;
    my ($cookie) = $head =~ /^Cookie: (.*?)\x0d/mi;
    my ($status, $headers, $page) = answer($shop, $path, $arguments, $body, $cookie);
    my $stays = $version eq '1.1' && $head !~ /^Connection: close/mi;

    push @$headers, "X-Version: $version", "X-Requests: $requests",
        $stays ? 'Transfer-Encoding: chunked' : 'Connection: close';
    # In two chunks, so that the id of the link is cut in the middle.
    my ($first, $rest) = (substr($page, 0, 20), length $page > 20 ? substr $page, 20 : '');
    $page = join '', map { sprintf "%x$CRLF%s$CRLF", length, $_ } grep { length } $first, $rest
        if $stays;
    $page .= "0$CRLF$CRLF" if $stays;
    print {$socket} join $CRLF, "HTTP/$version $status", @$headers, '', $page;

    return $stays;
}

sub serve_scgi {
    my ($port) = @_;
    require SCGI;
    my $shop = { name => $port };
    my $scgi = SCGI->new(listener($port), blocking => 1);
    local $SIG{PIPE} = 'IGNORE';

    while (my $request = $scgi->accept()) {
        # It dies of a connection without a request, with which the test finds out that it is here.
        eval { $request->read_env() } or next;
        my $environment = $request->env();
        my $connection = $request->connection();
        my $body = '';
        read $connection, $body, $environment->{CONTENT_LENGTH} if $environment->{CONTENT_LENGTH};
        my ($status, $headers, $page) = answer($shop, $environment->{DOCUMENT_URI},
            $environment->{QUERY_STRING}, $body, $environment->{HTTP_COOKIE});
        print {$connection} join $CRLF, "Status: $status", @$headers, '', $page;
        $request->close();
    }
}

1;
