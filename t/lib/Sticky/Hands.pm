package Sticky::Hands;

# What an operator sees and does at /sticky, a location with `sticky_status rw`.

use strict;
use warnings;

use Exporter qw/ import /;
use JSON::PP qw/ decode_json /;

use Sticky::Client;
use Test::Nginx;

our @EXPORT = qw/ order done error_of body_of port_of upstream_of server_in /;

# Of the servers A, B and C.
my %port = (A => 8081, B => 8082, C => 8083);

sub port_of { return '127.0.0.1:' . port($port{ $_[0] }) }

sub encoded { return $_[0] =~ s/([^A-Za-z0-9_.-])/sprintf '%%%02X', ord $1/ger }

# Sends an order as a client does, not a browser.
sub order {
    my %parameters = @_;
    my $body = join '&', map { "$_=" . encoded($parameters{$_}) } sort keys %parameters;
    return post('/sticky/json', $body, 'X-Sticky' => 1,
        'Content-Type' => 'application/x-www-form-urlencoded');
}

sub body_of { return (split /\x0d\x0a\x0d\x0a/, $_[0], 2)[1] // '' }

# What was done.
sub done {
    my $reply = order(@_);
    my $answer = eval { decode_json(body_of($reply)) } || {};
    return $answer->{done} || { text => $reply };
}

# Why it was not: status and text.
sub error_of {
    my $reply = order(@_);
    my $answer = eval { decode_json(body_of($reply)) } || {};
    return code($reply) . ' ' . ($answer->{error}{text} // $reply);
}

# What JSON says of an upstream.
sub upstream_of {
    my ($name) = @_;
    my $report = decode_json(body_of(get('/sticky/json')));
    my ($upstream) = grep { $_->{name} eq $name } @{ $report->{upstreams} };
    return $upstream;
}

# What it says of its server A, B or C.
sub server_in {
    my ($upstream, $server) = @_;
    my ($found) = grep { $_->{name} eq port_of($server) } @{ upstream_of($upstream)->{servers} };
    return $found;
}

1;
