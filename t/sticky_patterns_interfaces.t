#!/usr/bin/perl

# Tests for the lines of README's table for interfaces of machines that cannot be had here: vCenter,
# Redfish, Keystone, ubus, Kafka's REST proxy, SOAP, by servers and clients that hand out ids and
# send them as those do; without these, a line that loses their sessions could be published.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Patterns;

# A token that a login hands out, and a header that has it from then on.
sub with_token {
    my (%of) = @_;
    return {
        name  => $of{name},
        serve => sub {
            my ($server, $request) = @_;
            if ($request->{method} eq 'POST' && $request->{path} eq $of{login}) {
                return $of{answer}->(begin($server), $server);
            }
            my $id = ($request->{head}{ $of{header} } // '') =~ /(\w{32})$/ ? $1 : undef;
            return 401 if !knows($server, $id);
            return $of{ask} && $request->{path} eq $of{login} ? $of{ask}->($id) : json({ items => [] });
        },
        steps => [
            sub {
                my ($client) = @_;
                my $reply = ask($client, 'POST', $of{login}, body => '{"user":"a","password":"b"}',
                    head => { 'Content-Type' => 'application/json' }) or return 0;
                $client->{token} = $of{token}->($reply);
            },
            (sub {
                my ($client) = @_;
                return ask($client, 'GET', $of{use}, head => { $of{header} => $client->{token} });
            }) x 4,
            sub {
                my ($client) = @_;
                return ask($client, 'DELETE', $of{login}, head => { $of{header} => $client->{token} });
            },
        ],
    };
}

# The whole body of the answer is the id, a string of JSON.
my $vcenter = with_token(
    name => 'vCenter', login => '/api/session', use => '/api/vcenter/vm',
    header => 'vmware-api-session-id',
    answer => sub { return json($_[0], 201) }, token => sub { return read_json($_[0]) },
);

# Location has a number, which each server counts for itself.
my $redfish = with_token(
    name => 'Redfish', login => '/redfish/v1/SessionService/Sessions', use => '/redfish/v1/Systems',
    header => 'x-auth-token',
    answer => sub {
        my ($id, $server) = @_;
        my $path = "/redfish/v1/SessionService/Sessions/$server->{made}";
        return json({ '@odata.id' => $path, Id => $server->{made} }, 201,
            "Location: $path", "X-Auth-Token: $id");
    },
    token => sub { return header('X-Auth-Token', $_[0]) },
);

# Its tokens are some 200 bytes long. The answer about a token names it again.
my $before = 'gAAAAABk' . 'x-_Y' x 40;
my $keystone = with_token(
    name => 'Keystone', login => '/v3/auth/tokens', use => '/v3/users', header => 'x-auth-token',
    answer => sub { return json({ token => {} }, 201, "X-Subject-Token: $before$_[0]") },
    ask => sub { return json({ token => {} }, 200, "X-Subject-Token: $before$_[0]") },
    token => sub { return header('X-Subject-Token', $_[0]) },
);

# A call has the id as the first of its parameters, the first call one of nothing but zeros.
sub call {
    my ($client, $id, @call) = @_;
    my $reply = ask($client, 'POST', '/ubus', head => { 'Content-Type' => 'application/json' },
        body => JSON::PP::encode_json({
            jsonrpc => '2.0', id => 1, method => 'call', params => [$id, @call],
        })) or return undef;
    my $result = read_json($reply)->{result} // [6];
    return $result->[0] == 0 ? $result->[1] : undef;
}

my $ubus = {
    name  => 'ubus (OpenWrt)',
    serve => sub {
        my ($server, $request) = @_;
        my ($id, $object, $method) = @{ read_json($request)->{params} };
        my $result = $method eq 'login' ? [0, { ubus_rpc_session => begin($server), timeout => 300 }]
            : knows($server, $id) ? [0, { uptime => 7 }] : [6];
        return json({ jsonrpc => '2.0', id => 1, result => $result });
    },
    steps => [
        sub {
            my ($client) = @_;
            my $made = call($client, '0' x 32, 'session', 'login', { username => 'root' });
            $client->{id} = $made->{ubus_rpc_session};
        },
        (sub { return call($_[0], $_[0]{id}, 'system', 'info', {}) }) x 4,
    ],
};

# A consumer is made in its group; from then on, the client asks for what is below its base_uri.
my $kafka = {
    name  => 'Kafka REST proxy, consumers',
    serve => sub {
        my ($server, $request) = @_;
        my ($group, $id) = $request->{path} =~ m!^/consumers/([^/]+)(?:/instances/([^/]+))?!;
        if (!defined $id) {
            $id = 'rest-consumer-' . begin($server);
            $server->{sessions}{$id} = 1;
            my ($code, undef, $body) = json({
                instance_id => $id, base_uri => "http://$request->{host}/consumers/$group/instances/$id",
            });
            return ($code, ['Content-Type: application/vnd.kafka.v2+json'], $body);
        }
        return knows($server, $id) ? json([]) : 404;
    },
    steps => [
        sub {
            my ($client) = @_;
            my $reply = ask($client, 'POST', '/consumers/g1', body => '{"format":"json"}',
                head => { 'Content-Type' => 'application/vnd.kafka.v2+json' }) or return 0;
            ($client->{base}) = read_json($reply)->{base_uri} =~ m!^http://[^/]+(/.*)!;
        },
        (map {
            my ($method, $what) = @$_;
            sub { return ask($_[0], $method, "$_[0]{base}$what") };
        } ['POST', '/subscription'], ['GET', '/records?timeout=100'], ['POST', '/offsets'],
            ['GET', '/records'], ['DELETE', '']),
    ],
};

# An element of the answer to a login, and of the header of each envelope.
sub envelope {
    my ($header, $body) = @_;
    return '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/">'
        . "<s:Header>$header</s:Header><s:Body>$body</s:Body></s:Envelope>";
}

my @xml = ('Content-Type' => 'text/xml; charset=utf-8');
my $soap = {
    name  => 'SOAP with an id in an element',
    serve => sub {
        my ($server, $request) = @_;
        my ($id) = $request->{body} =~ /<n:SessionId[^>]*>(\w+)</;
        my @type = ('Content-Type: text/xml; charset=utf-8');
        return (200, \@type, envelope('', '<n:loginResponse xmlns:n="urn:n"><n:SessionId>'
            . begin($server) . '</n:SessionId></n:loginResponse>')) if $request->{body} =~ /n:login/;
        return knows($server, $id) ? (200, \@type, envelope('', '<n:done/>')) : 500;
    },
    steps => [
        sub {
            my ($client) = @_;
            my $reply = ask($client, 'POST', '/soap', head => {@xml},
                body => envelope('', '<n:login xmlns:n="urn:n"/>')) or return 0;
            ($client->{id}) = $reply =~ /<n:SessionId>(\w+)</;
        },
        (sub {
            my ($client) = @_;
            return ask($client, 'POST', '/soap', head => {@xml}, body => envelope(
                "<n:SessionId xmlns:n=\"urn:n\">$client->{id}</n:SessionId>", '<n:query/>'));
        }) x 4,
    ],
};

my @patterns = ($vcenter, $redfish, $keystone, $ubus, $kafka, $soap);
my $t = Test::Nginx->new()->has(qw/ http proxy /)->plan(3 * @patterns);
start_patterns($t, @patterns);
whole_with_line(@patterns);
