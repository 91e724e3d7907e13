package Sticky::Patterns;

# Small servers that hand out session ids, and take them back, as known applications do; for those
# that cannot be had here, or not in full. The line of each is that of README's table: its row has
# the name of the pattern.
#
# A pattern is a hash:
#
#     name    that of its row
#     serve   a server: gets its memory and a request, returns code, headers and body of the answer
#     steps   a client: each gets the client and returns true if the server knew its session
#     cookies whether the clients keep cookies
#
# The memory of a server has its sessions, by id; a request has method, path, query (as it is sent),
# args (decoded), head (by names in small letters), body and host.

use strict;
use warnings;

use Digest::MD5 qw/ md5_hex /;
use Exporter qw/ import /;
use IO::Socket::INET;
use JSON::PP ();
use Test::More ();

use Test::Nginx;
use Sticky::Client;
use Sticky::Readme qw/ applications /;

our @EXPORT = qw/ start_patterns whole_with_line serve_patterns broken ask begin knows json read_json CLIENTS /;

# No multiple of the servers: in step with round robin, each client would keep its server by chance.
use constant CLIENTS => 10;

use constant CRLF => "\x0d\x0a";

# Serves the patterns behind nginx with four workers, each as NAME.sticky with its line, and as
# NAME.bare with the balancer alone. NAME is its place in the list.
sub start_patterns {
    my ($t, @patterns) = @_;
    my ($upstreams, $servers, $options) = ('', '', 'reuseport');
    my $addresses = join ' ', map { "server 127.0.0.1:$_;" } 8081 .. 8083;
    my %line = map { $_->{application} => $_->{line} } applications();
    for my $n (0 .. $#patterns) {
        my $line = $line{ $patterns[$n]{name} } or die "README has no line for $patterns[$n]{name}\n";
        for my $kind (['sticky', $line], ['bare', '']) {
            my ($name, $sticky) = ("p$n.$kind->[0]", $kind->[1]);
            $upstreams .= "    upstream $name { $sticky $addresses }\n";
            $servers .= "    server { listen 127.0.0.1:8080 $options; server_name $name;\n"
                . "             location / { proxy_pass http://$name; proxy_set_header Host \$host; } }\n";
            $options = '';
        }
    }
    $t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;
worker_processes 4;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    underscores_in_headers on;

$upstreams
$servers
}

EOC
    serve_patterns($t, \@patterns, 8081 .. 8083);
    $t->run();
}

# Three tests of each pattern.
sub whole_with_line {
    my (@patterns) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    for my $n (0 .. $#patterns) {
        my $name = $patterns[$n]{name};
        my ($broken) = broken($patterns[$n], "p$n.bare");
        Test::More::cmp_ok($broken, '>', 0, "$name: $broken of @{[ CLIENTS ]} broken by round robin");
        ($broken, my $servers, my $what) = broken($patterns[$n], "p$n.sticky");
        Test::More::is($broken, 0, "$name: none with its line") or Test::More::diag($what);
        Test::More::is($servers, 3, "$name: at three servers");
    }
}

# Walks the clients of a pattern, a step of each at a time. Returns how many lost their session, how
# many servers answered, and where the first was lost. `at` is the port, if it is not 8080.
sub broken {
    my ($pattern, $host, %more) = @_;
    my %servers;
    my @clients = map { {
        number => $_, host => $host, servers => \%servers, jar => $pattern->{cookies} ? {} : undef, %more,
    } } 1 .. CLIENTS;
    my $what = '';
    for my $step (0 .. $#{ $pattern->{steps} }) {
        for my $client (grep { !$_->{lost} } @clients) {
            next if $pattern->{steps}[$step]->($client);
            $client->{lost} = 1;
            $what ||= "client $client->{number} at step $step: " . ($client->{reply} // '');
        }
    }
    return (scalar(grep { $_->{lost} } @clients), scalar keys %servers, $what);
}

# A request of a client. Returns the reply, or nothing if it has a status of 400 or more.
sub ask {
    my ($client, $method, $uri, %request) = @_;
    my $body = $request{body} // '';
    my %head = (Host => $client->{host}, %{ $request{head} // {} });
    $head{'Content-Length'} = length $body if $method =~ /^P/;
    my $jar = $client->{jar};
    $head{Cookie} = join '; ', map { "$_=$jar->{$_}" } sort keys %$jar if $jar && %$jar;

    my $reply = $client->{reply} = send_request($method, $uri, %head, {
        body => $body, $client->{at} ? (PeerAddr => "127.0.0.1:$client->{at}") : (),
    });
    $client->{servers}{ served_by($reply) } = 1;
    for my $cookie ($jar ? cookies($reply) : ()) {
        $jar->{$1} = $2 if $cookie =~ /^([^=]+)=([^;]*)/;
    }
    return code($reply) =~ /^[123]/ ? $reply : undef;
}

# The servers of the patterns, one of all at each port. A request tells its pattern by its host.
sub serve_patterns {
    my ($t, $patterns, @ports) = @_;
    $t->run_daemon(\&serve, $_, $patterns) for map { port($_) } @ports;
    $t->waitforsocket("127.0.0.1:$_") for map { port($_) } @ports;
}

# A new session of the server; its id.
sub begin {
    my ($server) = @_;
    my $id = md5_hex("$server->{name} " . ++$server->{made});
    $server->{sessions}{$id} = 1;
    return $id;
}

sub knows {
    my ($server, $id) = @_;
    return defined $id && $server->{sessions}{$id};
}

# An answer in JSON: of this code, which is 200 otherwise.
sub json {
    my ($value, $code, @headers) = @_;
    return ($code // 200, ['Content-Type: application/json', @headers],
        JSON::PP->new->canonical->allow_nonref->encode($value));
}

# The JSON of a reply or a request.
sub read_json {
    my ($of) = @_;
    my $text = ref $of ? $of->{body} : (split /\x0d\x0a\x0d\x0a/, $of, 2)[1];
    return eval { JSON::PP->new->allow_nonref->decode($text) };
}

sub serve {
    my ($port, $patterns) = @_;
    my $listener = IO::Socket::INET->new(
        Proto => 'tcp', LocalAddr => "127.0.0.1:$port", Listen => 64, ReuseAddr => 1,
    ) or die "Can't listen: $!";
    local $SIG{PIPE} = 'IGNORE';
    my %servers;

    while (1) {
        my $socket = $listener->accept() or next;
        my $request = read_request($socket) or next;
        # With and without the line is the same application.
        my ($n) = $request->{host} =~ /^p(\d+)/;
        $n //= 0;
        my $server = $servers{ $request->{host} } //= { name => "$port of $request->{host}" };
        my ($code, $headers, $body) = $patterns->[$n]{serve}->($server, $request);
        $body //= '';
        print {$socket} join CRLF, "HTTP/1.1 $code -", "X-Server: $port", @{ $headers // [] },
            $code == 204 ? () : 'Content-Length: ' . length $body, 'Connection: close', '', $body;
        close $socket;
    }
}

sub read_request {
    my ($socket) = @_;
    my $text = '';
    while ($text !~ /\x0d\x0a\x0d\x0a/) {
        sysread $socket, $text, 65536, length $text or return undef;
    }
    my ($head, $body) = split /\x0d\x0a\x0d\x0a/, $text, 2;
    my %head = map { /^([^:]+): *(.*)/ ? (lc $1 => $2) : () } split /\x0d\x0a/, $head;
    while (length $body < ($head{'content-length'} // 0)) {
        sysread $socket, $body, 65536, length $body or return undef;
    }
    my ($method, $path, $query) = $head =~ /^(\w+) ([^ ?]*)\??(\S*)/;
    my %args = map { s/%(\w\w)/chr hex $1/ger } map { split /=/, $_, 2 } grep { /=/ } split /&/, $query;
    return {
        method => $method, path => $path, query => $query, args => \%args, head => \%head,
        body => $body, host => $head{host} // '',
    };
}

1;
