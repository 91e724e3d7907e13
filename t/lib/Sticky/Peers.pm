package Sticky::Peers;

# What the tests with real servers share: which programs they need, and the client of a small shop
# that each kind of server (Sticky::PeersShops) sells in.
#
# A server of the shop keeps its sessions in its own memory. A request without a session id begins a
# session, each later one counts up; one with an id that the server does not know has lost its
# session. The id comes back in a link, in a hidden input, in a redirect, and in a cookie of the
# shop's own. A walk through the shop so tells whether each request reached the right server:
#
#     walk('/query/', 'query')     no cookies, ids in links, forms and redirects
#     walk('/cookie/', 'cookie')   cookies only, those of the shop and those of nginx

use strict;
use warnings;

use Exporter qw/ import /;
use File::Spec;
use Test::More ();

use Sticky::Client;

our @EXPORT_OK = qw/ needs program python curl certificate walk held held_by_all upstreams locations /;

my %probes = (
    'php-fpm'    => sub { program(map { "php-fpm$_" } '', '8.4', '8.3', '8.2', '8.1', '8.0', '7.4') },
    'uwsgi'      => sub {
        program(qw/ uwsgi-core uwsgi /) && glob '/usr/lib/uwsgi/plugins/python3*_plugin.so';
    },
    'SCGI.pm'    => sub { eval { require SCGI; 1 } },
    'grpc for python'       => sub { python('grpc') },
    'websockets for python' => sub { python('websockets.legacy.server') },
    'curl with HTTP/2'      => sub { (program('curl') ? `curl --version` : '') =~ /HTTP2/ },
    'openssl' => sub { program('openssl') },
    'wrk'     => sub { program('wrk') },
);

# Skips the test file, before its plan, unless all of these are there.
sub needs {
    for my $name (@_) {
        my $probe = $probes{$name} or die "No way to look for $name";
        next if $probe->();
        Test::More::plan(skip_all => "$name is not installed, tools/test-packages does it");
    }
}

# The path of the first of these programs that is there.
sub program {
    for my $name (@_) {
        for my $folder (File::Spec->path(), '/usr/sbin', '/usr/local/sbin') {
            return "$folder/$name" if -x "$folder/$name";
        }
    }
    return undef;
}

# A python that has this module; Debian's first, as others do not see Debian's modules.
sub python {
    my ($module) = @_;
    for my $python (grep { defined } '/usr/bin/python3', program('python3')) {
        next unless -x $python;
        return $python if system("$python -c 'import $module' >/dev/null 2>&1") == 0;
    }
    return undef;
}

# Runs curl, returns what it prints.
sub curl {
    my @arguments = @_;
    my $pid = open(my $output, '-|') // die "Can't fork: $!";
    if ($pid == 0) {
        # Without the progress of --parallel, which --silent does not silence.
        open STDERR, '>', File::Spec->devnull();
        exec 'curl', '-q', '--silent', '--max-time', 60, @arguments or exit 127;
    }
    local $/;
    my $text = <$output>;
    close $output;
    return $text // '';
}

# Makes NAME.crt and NAME.key in the test's folder.
sub certificate {
    my ($t, $name) = @_;
    my $dir = $t->testdir();
    # Without the extensions of Debian's configuration, and so small enough for the client for
    # HTTP/3, which wants the handshake in one piece.
    $t->write_file('openssl.conf', "[ req ]\ndistinguished_name = name\n[ name ]\n");
    system("openssl req -x509 -newkey rsa:2048 -nodes -days 3 -subj /CN=$name "
        . "-config '$dir/openssl.conf' -keyout '$dir/$name.key' -out '$dir/$name.crt' "
        . ">>'$dir/openssl.log' 2>&1") == 0
        or die "Can't make a certificate: $!\n";
}

# Three upstreams of the same servers: with ids, with a cookie, and without sticky, which shows that
# a walk does fail when sessions do not hold.
sub upstreams {
    my ($servers, $more) = @_;
    $more //= '';
    my %sticky = (query => 'sticky mode=query;', cookie => 'sticky;', none => '');
    return join '', map { <<"EOC" } sort keys %sticky;
    upstream $_ {
        $sticky{$_}
        $more
        $servers
    }
EOC
}

# The locations /query/, /cookie/ and /none/, with these lines in which UPSTREAM is the name.
sub locations {
    my ($lines) = @_;
    return join '', map { <<"EOC" } qw/ cookie none query /;
        location /$_/ {
            @{[ $lines =~ s/UPSTREAM/$_/gr ]}
            add_header X-Status \$sticky_status always;
        }
EOC
}

# Eight sessions at once, so that with three servers no balancer takes all of them to the same
# server again by itself. What came of them: how often each sequence of counts and of statuses was
# seen, and how many servers had a part in it.
sub walk {
    my ($uri, $mode, $fetch) = @_;
    $fetch //= \&fetch;

    my @visitors = map { { cookies => {}, arguments => '' } } 1 .. 8;
    my (%result, %servers);

    for my $action (qw/ first next renew form redirect next next /) {
        for my $visitor (@visitors) {
            my $reply = walk_on($visitor, $uri, $action, $mode, $fetch);
            push @{ $visitor->{counts} }, header('X-Count', $reply);
            push @{ $visitor->{status} }, status($reply) if $action ne 'first';
            $servers{ served_by($reply) }++;
        }
    }

    for my $visitor (@visitors) {
        $result{counts}{ join ' ', @{ $visitor->{counts} } }++;
        $result{status}{ join ' ', @{ $visitor->{status} } }++;
    }
    $result{servers} = keys %servers;

    return \%result;
}

# The walk in which no session was lost, with three servers.
sub held {
    my ($servers) = @_;
    return {
        counts  => { '1 2 3 4 5 6 7' => 8 },
        status  => { join(' ', ('HIT') x 6) => 8 },
        servers => $servers // 3,
    };
}

# The tests of one protocol: four of them.
sub held_by_all {
    my ($what, $fetch) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    Test::More::is_deeply(walk('/query/', 'query', $fetch), held(), "$what: ids hold");
    Test::More::is_deeply(walk('/cookie/', 'cookie', $fetch), held(), "$what: cookies hold");
    for my $mode (qw/ query cookie /) {
        my $counts = walk('/none/', $mode, $fetch)->{counts};
        Test::More::like("@{[ keys %$counts ]}", qr/lost/, "$what: lost without sticky, $mode");
    }
}

sub walk_on {
    my ($visitor, $uri, $action, $mode, $fetch) = @_;
    my ($method, $body, @headers) = ('GET');
    my $arguments = $visitor->{arguments};

    if ($action eq 'form') {
        ($method, $body) = ('POST', 'amount=1');
        $body .= "&sid=$visitor->{input}" if $mode eq 'query';
        $arguments = '';
    }
    if ($mode eq 'cookie') {
        my $jar = $visitor->{cookies};
        @headers = 'Cookie: ' . join '; ', map { "$_=$jar->{$_}" } sort keys %$jar if %$jar;
        $arguments = '';
    }

    my $reply = $fetch->($method, "$uri$action$arguments", \@headers, $body);

    for my $cookie (cookies($reply)) {
        $visitor->{cookies}{$1} = $2 if $cookie =~ /^(\w+)=([^;]*)/;
    }
    if ($reply =~ /^Location: \S*?next(\?[^\x0d]*)?\x0d/mi) {
        $visitor->{arguments} = $1 // '';
    } else {
        $visitor->{arguments} = $1 // '' if $reply =~ /href="next(\?[^"]*)"/;
        $visitor->{input} = $1 if $reply =~ /name="sid" value="([^"]*)"/;
    }

    return $reply;
}

sub fetch {
    my ($method, $uri, $headers, $body) = @_;
    my @lines = @$headers;
    push @lines, 'Content-Type: application/x-www-form-urlencoded',
        'Content-Length: ' . length $body if defined $body;
    # With 1.0, so that no chunk size stands in the middle of an id.
    return send_request($method, $uri, @lines, { version => '1.0', body => $body });
}

1;
