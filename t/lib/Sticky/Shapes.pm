package Sticky::Shapes;

# Applications of all shapes for the tests of mode=discover: where they hand the id of a session out
# and where clients bring it back. server() is a server of all of them; the first part of the path
# says which. walk() has visitors walk through one of them, each from an address of its own.

use strict;
use warnings;

use Exporter qw/ import /;
use IO::Socket::INET;
use JSON::PP qw/ decode_json /;

use Test::Nginx;
use Sticky::Client;

our @EXPORT = qw/ server shapes walk as new_id visitors discovered /;

use constant CRLF => "\x0d\x0a";

# The visitors of a walk.
use constant VISITORS => 26;

# Of each: what the first answer has for an id, the request that brings an id back, the words of
# `sticky` that are proposed, and whether they are certain.
my %shapes = (
    link => {
        hands_out => sub { html("<a href=\"/link/a?sid=$_[0]&amp;x=1\">a</a><form><input type=hidden name=sid value=$_[0]></form>") },
        request => sub { { uri => "/link/a?x=1&sid=$_[0]" } },
        line => 'sticky mode=query name=sid;',
    },
    packed => {
        hands_out => sub { html("<a href=\"/packed/a?sid=$_[0]\">a</a>", gzip => 1) },
        request => sub { { uri => "/packed/a?sid=$_[0]" } },
        line => 'sticky mode=query name=sid;',
    },
    cookie => {
        hands_out => sub { ("Set-Cookie: PHPSESSID=$_[0]; path=/", html('<p>welcome')) },
        request => sub { { uri => '/cookie/a', headers => [Cookie => "PHPSESSID=$_[0]; theme=dark"] } },
        line => 'sticky mode=query name=PHPSESSID from=cookie learn=cookie;',
    },
    path => {
        hands_out => sub { html("<a href='/path/cart;jsessionid=$_[0]?x=1'>a</a>") },
        request => sub { { uri => "/path/cart;jsessionid=$_[0]?x=1" } },
        line => 'sticky mode=query name=jsessionid;',
    },
    location => {
        hands_out => sub { ('', "Location: /location/a?_state=$_[0]", '') },
        request => sub { { uri => "/location/a?_state=$_[0]" } },
        line => 'sticky mode=query name=_state;',
    },
    polling => {
        hands_out => sub { ('Content-Type: text/plain; charset=UTF-8', "0{\"sid\":\"$_[0]\",\"pingInterval\":25000}") },
        request => sub { { uri => "/polling/?EIO=4&sid=$_[0]" } },
        line => 'sticky mode=query name=sid from=query learn=json;',
    },
    json => {
        hands_out => sub { ('Content-Type: application/json', "{\"value\":{\"clientId\":\"$_[0]\"}}") },
        request => sub { { uri => '/json/', body => "{\"clientId\":\"$_[0]\"}" } },
        line => 'sticky mode=query from=json:clientId learn=json:value.clientId;',
    },
    header => {
        hands_out => sub { ("Mcp-Session-Id: $_[0]", 'Content-Type: application/json', '{}') },
        request => sub { { uri => '/header/', headers => ['Mcp-Session-Id' => $_[0]] } },
        line => 'sticky mode=query from=header:Mcp-Session-Id learn=header:Mcp-Session-Id;',
    },
    events => {
        hands_out => sub { ('Content-Type: text/event-stream', "event: endpoint\ndata: /events/?session_id=$_[0]\n\n") },
        request => sub { { uri => "/events/?session_id=$_[0]" } },
        line => 'sticky mode=query name=session_id from=query learn=sse;',
    },
    segment => {
        hands_out => sub { ("Location: /segment/files/$_[0]", '') },
        request => sub { { uri => "/segment/files/$_[0]" } },
        line => 'sticky mode=query from=segment:/segment/files/ learn=location;',
    },
    made => {
        is_made => 1,
        request => sub { { uri => '/made/', headers => ['X-Session-ID' => $_[0]] } },
        line => 'sticky mode=query from=header:X-Session-Id learn=request;',
    },
);

sub shapes { return \%shapes }

sub html {
    my ($page, %options) = @_;
    return ('Content-Type: text/html', $page) unless $options{gzip};
    require IO::Compress::Gzip;
    IO::Compress::Gzip::gzip(\$page => \my $packed);
    return ('Content-Type: text/html', 'Content-Encoding: gzip', $packed);
}

# An id as frameworks make them.
sub new_id {
    return join '', map { ('a' .. 'z', 0 .. 9)[rand 36] } 1 .. 26;
}

# A server that answers on this port, with its letter.
sub server {
    my ($port, $letter) = @_;
    my $server = IO::Socket::INET->new(
        Proto => 'tcp', LocalAddr => "127.0.0.1:$port", Listen => 64, ReuseAddr => 1,
    ) or die "Can't listen: $!";
    local $SIG{PIPE} = 'IGNORE';
    srand $port;
    while (1) {
        my $client = $server->accept() or next;
        my $head = '';
        while (my $line = <$client>) {
            $head .= $line;
            last if $line =~ /^\x0d?\x0a?$/;
        }
        if ($head =~ /^Upgrade: websocket/mi) {
            print {$client} join CRLF, 'HTTP/1.1 101 Switching Protocols', "X-Server: $letter",
                'Upgrade: websocket', 'Connection: Upgrade', '', '';
            next;
        }
        read $client, my $body, $1 if $head =~ /^Content-Length: (\d+)/mi;
        my ($name) = $head =~ m!^\w+ /(\w+)/!;
        my $shape = $shapes{ $name // '' };
        my @answer = html('<p>another page');
        my $status = '200 OK';
        if ($head =~ /^X-First: 1/mi && $shape && !$shape->{is_made}) {
            my $id = new_id();
            @answer = $shape->{hands_out}->($id);
            $status = '302 Found' if grep { /^Location/ } @answer;
            # Not the id itself, which would be handed out here, too.
            unshift @answer, "X-Di: " . reverse $id;
        }
        my $page = pop @answer;
        print {$client} join CRLF, "HTTP/1.0 $status", "X-Server: $letter",
            (grep { $_ ne '' } @answer), 'Content-Length: ' . length $page, 'Connection: close', '', $page;
        close $client;
    }
}

# Has visitors walk: one first request each, whose answer hands the id out, then some that bring it
# back, all of them in turn. `base` comes before the path of each. Returns how many requests came
# to another server than the first of their session, and how many there were.
sub walk {
    my ($name, %options) = @_;
    my $shape = $shapes{$name};
    my $base = $options{base} // '';
    my ($astray, $all) = (0, 0);
    my (%id, %home);
    my @visitors = 1 .. ($options{visitors} // VISITORS);
    for my $round (0 .. ($options{rounds} // 3)) {
        for my $visitor (@visitors) {
            my $request;
            if ($round == 0 && !$shape->{is_made}) {
                $request = { uri => "/$name/", headers => ['X-First' => 1] };
            } else {
                $id{$visitor} //= new_id();
                $request = $shape->{request}->($id{$visitor});
            }
            my $reply = as($visitor, %$request, uri => $base . $request->{uri});
            my $server = served_by($reply);
            $id{$visitor} //= reverse header("X-Di", $reply);
            $home{$visitor} //= $server;
            next if $round == 0;
            $all++;
            $astray++ if $server ne $home{$visitor};
        }
    }
    return ($astray, $all);
}

# A request from the address of that visitor.
sub as {
    my ($visitor, %request) = @_;
    my $socket = IO::Socket::INET->new(
        Proto => 'tcp', PeerAddr => '127.0.0.1:' . port(8080),
        LocalAddr => '127.0.1.' . $visitor,
    ) or die "Can't connect: $!";
    my @headers = @{ $request{headers} // [] };
    return defined $request{body}
        ? post($request{uri}, $request{body}, 'Content-Type' => 'application/json', @headers, { socket => $socket })
        : get($request{uri}, @headers, { socket => $socket });
}

sub visitors { return VISITORS }

# What JSON says of an upstream, see docs/status.md.
sub discovered {
    my ($upstream) = @_;
    # In one piece, however many turns it takes.
    my $body = (split /\x0d\x0a\x0d\x0a/, get('/status/json', { version => '1.0' }), 2)[1];
    my ($shown) = grep { $_->{name} eq $upstream } @{ decode_json($body)->{upstreams} };
    return $shown->{discover};
}

1;
