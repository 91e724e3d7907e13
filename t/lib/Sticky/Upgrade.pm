package Sticky::Upgrade;

# The pages docs/upgrade-from-….md, taken apart so that tests can run what they say: a page that is
# not true any more fails.
#
# A fenced block whose info string ends in `before` or `after` is a complete configuration. Of one
# for nginx, runnable() replaces only what is particular to a place: the line that loads a module,
# and the addresses. 10.0.0.1:8080 to 10.0.0.9:8080 are the servers A, B, C … that start() runs,
# `listen 80` is port 8080, /var/log/nginx the test's directory.
#
# A server answers with its letter in X-Server and what it got as Cookie in X-Got-Cookie. What the
# request has in X-Set-Cookie becomes a Set-Cookie of the answer, what it has in X-Page its page.

use strict;
use warnings;

use Exporter qw/ import /;
use File::Spec;
use FindBin;
use IO::Socket::INET;
use POSIX ();

use Test::Nginx qw/ port /;
use Sticky::Client;

our @EXPORT = qw/
    block blocks directives runnable start letters values_of status_of stays checked_by
/;

my $CRLF = "\x0d\x0a";

sub page {
    my ($name) = @_;
    my $file = File::Spec->catfile($FindBin::Bin, '..', 'docs', "upgrade-from-$name.md");
    open my $handle, '<', $file or die "$file: $!\n";
    local $/;
    return scalar <$handle>;
}

# The blocks of a page that are marked so: `haproxy before`, `nginx after`.
sub blocks {
    my ($name, $mark) = @_;
    return page($name) =~ /^```\Q$mark\E\n(.*?)^```$/msg;
}

# The only one.
sub block {
    my @found = blocks(@_);
    die "one block `$_[1]` expected in the page from $_[0]\n" unless @found == 1;
    return $found[0];
}

# Every `sticky …;`, `sticky_strict …;` or `server …;` that stands in the text of a page.
sub directives {
    my ($name) = @_;
    my $text = page($name) =~ s/^```.*?^```$//msgr;
    my %seen;
    my @found = map { s/\s+/ /gr } $text =~ /`((?:sticky(?:_strict)?|server)(?:\s[^`…]*)?;)`/g;
    return grep { !$seen{$_}++ } @found;
}

# A configuration of a page as write_file_expand() wants it.
sub runnable {
    my ($text) = @_;
    $text =~ s/^load_module modules\/\w+\.so;$/%%TEST_GLOBALS%%\ndaemon off;/m
        or die "a load_module line expected\n";
    $text =~ s/^http \{$/http {\n    %%TEST_GLOBALS_HTTP%%/m or die "an http block expected\n";
    $text =~ s/\b10\.0\.0\.(\d):8080\b/127.0.0.1:808$1/g;
    $text =~ s/\blisten 80;/listen 127.0.0.1:8080;/g;
    $text =~ s/\/var\/log\/nginx\//%%TESTDIR%%\//g;
    return $text;
}

# Starts so many servers: A on port 8081, and so on.
sub start {
    my ($t, $count) = @_;
    for my $number (1 .. $count) {
        $t->run_daemon(\&server, port(8080 + $number), chr(64 + $number));
    }
    $t->waitforsocket('127.0.0.1:' . port(8080 + $_)) for 1 .. $count;
}

sub server {
    my ($port, $letter) = @_;

    my $listener = IO::Socket::INET->new(
        Proto => 'tcp', LocalAddr => "127.0.0.1:$port", Listen => 64, ReuseAddr => 1,
    ) or die "Can't listen: $!";
    local $SIG{PIPE} = 'IGNORE';
    local $SIG{CHLD} = 'IGNORE';

    while (1) {
        my $client = $listener->accept() or next;
        # A connection that nginx keeps must not keep the others waiting.
        my $pid = fork() // die "Can't fork: $!";
        next if $pid;
        $client->autoflush(1);
        serve($client, $letter);
        POSIX::_exit(0);
    }
}

sub serve {
    my ($client, $letter) = @_;
    my $head = '';
    while (my $line = <$client>) {
        $head .= $line;
        next if $line !~ /^\x0d?\x0a$/;

        my $cookie = header('Cookie', $head);
        my $page = header('X-Page', $head);
        my $set = header('X-Set-Cookie', $head);
        print {$client} join $CRLF, 'HTTP/1.1 200 OK', 'Content-Type: text/html',
            'Content-Length: ' . length($page), "X-Server: $letter", "X-Got-Cookie: $cookie",
            ($set ne '' ? "Set-Cookie: $set" : ()), '', $page;
        $head = '';
    }
}

# The cookies that a reply sets, as 'name=value', without attributes.
sub values_of { return join ' ', $_[0] =~ /^Set-Cookie: ([^;\x0d]+)/mgi }

# The servers that answer so many requests, as in 'AAAA'.
sub letters {
    my ($count, @request) = @_;
    return join '', map { served_by(get(@request)) } 1 .. $count;
}

# Whether these requests all reach the server, which they would not without a session: then each
# goes to the next.
sub stays {
    my ($letter, @request) = @_;
    return $letter =~ /^[A-Z]$/ && letters(6, @request) eq $letter x 6;
}

# The $sticky_status in the last lines of the log that the configurations write.
sub status_of {
    my ($t, $count) = @_;
    my @lines = split /\n/, $t->read_file('sticky.log');
    splice @lines, 0, @lines - $count if @lines > $count;
    return join ' ', map { /sticky=(\S*)/ ? $1 : '?' } @lines;
}

# What a program says of this configuration: '' when it takes it, undef when it is not installed.
# The name of the file is put in the place of FILE.
sub checked_by {
    my ($t, $text, $program, @arguments) = @_;
    my ($path) = grep { -x } map { "$_/$program" } File::Spec->path(), '/usr/sbin';
    return undef unless $path;

    $t->write_file("$program.conf", $text);
    my $file = $t->testdir() . "/$program.conf";
    my $pid = open(my $output, '-|') // die "Can't fork: $!";
    if ($pid == 0) {
        open STDERR, '>&', \*STDOUT or POSIX::_exit(127);
        exec { $path } $program, map { s/^FILE$/$file/r } @arguments or POSIX::_exit(127);
    }
    my $said = join '', <$output>;
    close $output;
    return $? ? $said || "refused\n" : '';
}

1;
