package Sticky::Apps;

# Real applications behind the configurations of nginx-conf/, for the tests in t/apps. What they
# want is installed by `make test-apps`, which names the folder of it in STICKY_APPS.
#
# Each test runs its configuration as it is published, on the ports of the test, and once more
# without the line that makes it sticky: that must break sessions, or the test proves nothing.
#
# Where STICKY_COMPARED names a file, a test measures instead (`make compare-apps`): see compared().

use strict;
use warnings;

use Exporter qw/ import /;
use File::Spec;
use FindBin;
use IO::Socket::INET;
use JSON::PP qw/ decode_json encode_json /;
use Test::More;
use Test::Nginx qw/ http port /;

use Sticky::Readme qw/ published_text /;

our @EXPORT_OK = qw/ apps app backends published holds compared browse walked /;

# The folder of installed applications; without it, or one of the files in it, the test is skipped.
sub apps {
    my (@files) = @_;
    my $folder = $ENV{STICKY_APPS} // plan(skip_all => 'no applications, see make test-apps');
    for my $file (@files) {
        my $path = $file =~ m!^/! ? $file : "$folder/$file";
        -e $path or plan(skip_all => "no $path, see make test-apps");
    }
    return $folder;
}

# A file beside the test.
sub app { return "$FindBin::Bin/$_[0]" }

# Writes the configuration of that name as that of the test, sticky or not, or with other sticky lines, by
# the names of their upstreams. More to replace: texts and what takes their places.
sub published {
    my ($t, $name, $sticky, %replace) = @_;
    my $text = published_text($name);
    $text =~ s/^load_module modules\/ngx_http_sticky_rs\.so;$/%%TEST_GLOBALS%%\ndaemon off;/m
        or die "$name does not load the module\n";
    $text =~ s/^(pid|error_log) .*$//mg;
    if (ref $sticky) {
        $text =~ s/^ *upstream (\S+) \{.*?\K^ *sticky\b[^;]*;$/$sticky->{$1}/msg;
    } elsif (!$sticky) {
        $text =~ s/^ *sticky\b[^;]*;$//mg;
    }
    for my $old (keys %replace) {
        $text =~ s/\Q$old\E/$replace{$old}/g or die "$name has no $old\n";
    }
    mkdir $t->testdir() . '/logs';
    $t->write_file_expand('nginx.conf', $text);
    return;
}

# Starts a server at each of the ports: `command` is called with the port as it is used, and a name.
# Waits until all of them listen; large applications take their time.
sub backends {
    my ($t, $command, @ports) = @_;
    for my $port (map { port($_) } @ports) {
        # Their complaints about clients that have gone are not ours.
        $t->run_daemon('sh', '-c', 'exec "$@" >/dev/null 2>&1', 'server', $command->($port, "server-$port"));
    }
    for my $port (map { port($_) } @ports) {
        for (1 .. 12) {
            last if $t->waitforsocket("127.0.0.1:$port");
        }
    }
    return;
}

# Walks sessions through a configuration as it is published, where all must hold, and without its
# sticky lines, where some must break. Each walk is a title, the number of its sessions, and the
# command that walks them. Two tests a walk, and one more: three servers at least have served.
sub holds {
    my ($t, $name, $walks, %replace) = @_;
    compared($t, $name, $walks, %replace);
    published($t, $name, 1, %replace);
    $t->run();
    for my $walk (@$walks) {
        my ($title, $sessions, @command) = @$walk;
        my $result = walked(@command);
        is($result->{good}, $sessions, "$title: sessions that hold") or diag(explain($result));
    }
    $t->stop();
    my %servers = map { $_ => 1 } $t->read_file('logs/access.log') =~ / (127\.0\.0\.1:\d+) \w+$/mg;
    cmp_ok(scalar keys %servers, '>=', 3, 'at three servers');

    published($t, $name, 0, %replace);
    $t->run();
    for my $walk (@$walks) {
        my ($title, $sessions, @command) = @$walk;
        my $result = walked(@command);
        diag("$title: $result->{good} of $sessions hold without sticky") if $ENV{STICKY_SHOWN};
        cmp_ok($result->{good}, '<', $sessions, "$title: without sticky sessions are lost");
    }
    $t->stop();
    return;
}

# With STICKY_COMPARED, walks the sessions by round robin, through the configuration as it is
# published, and through HAProxy, and appends a line of JSON to that file for each walk; then the test
# is over. In place of a command, a walk may have a function that gets the number of its sessions and
# returns how many are `good`.
sub compared {
    my ($t, $name, $walks, %replace) = @_;
    my $file = $ENV{STICKY_COMPARED} // return;
    my %haproxy = haproxy($t, $name, %replace);
    my %good;
    # HAProxy comes last: it takes nginx's ports, and is stopped with the servers.
    for my $front ('round robin', 'this module', 'HAProxy') {
        my @walks = grep { $front ne 'HAProxy' || $haproxy{ $_->[0] } } @$walks or next;
        if ($front eq 'HAProxy') {
            $t->run_daemon(haproxy_program(), '-q', '-db', '-f', $t->testdir() . '/haproxy.cfg');
            $t->waitforsocket('127.0.0.1:' . port(8080));
        } else {
            published($t, $name, $front eq 'this module', %replace);
            $t->run();
        }
        for my $walk (@walks) {
            my ($title, $sessions, @command) = @$walk;
            my $result = ref $command[0] ? $command[0]->($sessions) : walked(@command);
            $good{$title}{$front} = $result->{good};
            diag("$name, $title, $front: ", encode_json($result)) if $ENV{STICKY_SHOWN};
        }
        $t->stop();
    }
    open my $out, '>>', $file or die "Can't open $file: $!";
    for my $walk (@$walks) {
        my ($title, $sessions) = @$walk;
        my %line = (file => $name, title => $title, sessions => $sessions, %{ $good{$title} });
        print {$out} encode_json({ %line, said => $haproxy{$title} // [] }), "\n";
    }
    close $out or die "Can't write $file: $!";
    SKIP: {
        # Two tests are those of Test::Nginx.
        skip('measured instead', Test::More->builder()->expected_tests() - 2);
    }
    exit 0;
}

# Writes t/apps/haproxy/NAME.cfg as HAProxy's configuration for the test. Returns what its lines
# `#= TITLE | APPLICATION | CLIENT | WORDS` say of the walks that it has; nothing when there is none.
sub haproxy {
    my ($t, $name, %replace) = @_;
    my $path = app('haproxy/' . $name =~ s/\.conf$/.cfg/r);
    -e $path or return;
    open my $file, '<', $path or die "Can't open $path: $!";
    my $text = do { local $/; <$file> };
    $text =~ s/\Q$_\E/$replace{$_}/g for keys %replace;
    $t->write_file_expand('haproxy.cfg', $text);
    return map { my ($title, @said) = split / \| /; $title => \@said } $text =~ /^#= (.*)$/mg;
}

sub haproxy_program {
    my ($path) = grep { -x } map { "$_/haproxy" } File::Spec->path(), '/usr/sbin';
    return $path // die "haproxy is not installed\n";
}

# What a browser does: a request, and what came of it. `jar` has its cookies by name; without one it
# takes none.
sub browse {
    my ($method, $uri, $form, $jar) = @_;
    my $host = '127.0.0.1:' . port(8080);
    # All pages are at the top.
    $uri =~ s!^(?:http://\Q$host\E)?/?!/!;
    my $body = $form // '';
    my @head = ("$method $uri HTTP/1.1", "Host: $host", 'Connection: close');
    push @head, 'Content-Type: application/x-www-form-urlencoded', 'Content-Length: ' . length $body
        if $method eq 'POST';
    push @head, 'Cookie: ' . join '; ', map { "$_=$jar->{$_}" } sort keys %$jar if $jar && %$jar;
    my $reply = http(join("\x0d\x0a", @head, '', $body), socket => connected($host)) // '';
    $jar->{$1} = $2 while $jar && $reply =~ /^Set-Cookie: ([^=]+)=([^;\x0d]*)/mig;
    my %page = (text => $reply);
    $page{server} = $reply =~ /^X-Backend: (\S+)/mi ? $1 : 'none';
    $page{count} = $reply =~ /^X-Count: (\d+)/mi ? $1 : 0;
    if ($reply =~ /^Location: (\S+)/mi) {
        $page{location} = $1;
    }
    ($page{link}) = map { s/&amp;/&/gr } $reply =~ /<a href="([^"]+)"/;
    $page{forms} = [map { form_of($_) } $reply =~ /<form.*?<\/form>/gs];
    return \%page;
}

# From the address of a visitor, where there are some, see Sticky::AppsDiscovered.
sub connected {
    my ($host) = @_;
    return IO::Socket::INET->new(
        Proto => 'tcp', PeerAddr => $host, LocalAddr => $ENV{STICKY_VISITOR} // '127.0.0.1',
    ) // die "Can't connect to $host: $!\n";
}

# Action and fields of a form, as they are sent.
sub form_of {
    my ($form) = @_;
    my ($action) = $form =~ /action="([^"]*)"/;
    my @fields = map {
        my ($name) = /name="([^"]*)"/;
        my ($value) = /value="([^"]*)"/;
        "$name=$value";
    } $form =~ /<input[^>]*>/g;
    return { action => $action =~ s/&amp;/&/gr, fields => join '&', @fields };
}

# The line of JSON that a client in another language prints.
sub walked {
    my (@command) = @_;
    open my $pipe, '-|', @command or die "Can't run $command[0]: $!";
    my $text = do { local $/; <$pipe> };
    close $pipe;
    return decode_json($text =~ /^(\{.*\})$/m ? $1 : '{"good":-1}');
}

1;
