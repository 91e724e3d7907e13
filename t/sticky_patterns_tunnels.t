#!/usr/bin/perl

# Tests for nginx-conf/guacamole.conf, by servers and clients that open tunnels as Guacamole since
# 1.4 does, and before; without these, the requests of a tunnel could reach servers that do not have
# it.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Apps qw/ published /;
use Sticky::Patterns;

my @form = ('Content-Type' => 'application/x-www-form-urlencoded; charset=UTF-8');

# Of a login and of a tunnel each server knows its own alone.
sub guacamole {
    my ($is_older) = @_;
    my $with_token = sub {
        my ($client, $path) = @_;
        return $is_older ? ("$path?token=$client->{token}") : ($path, 'Guacamole-Token', $client->{token});
    };
    my $in_tunnel = sub {
        my ($client, $method, $action) = @_;
        my %head = ('Content-Type' => 'application/octet-stream');
        $head{'Guacamole-Tunnel-Token'} = $client->{tunnel_token} if !$is_older;
        return ask($client, $method, "/guacamole/tunnel?$action", head => \%head,
            body => $method eq 'POST' ? '5.mouse,1.1,1.1;' : '');
    };
    return {
        serve => sub {
            my ($server, $request) = @_;
            my ($path, $query) = @$request{qw/ path query /};
            if ($path =~ /tokens$/) {
                return json({ authToken => uc begin($server), username => 'a' })
                    if $request->{method} eq 'POST';
            }
            if ($path =~ /tunnel$/ && $query eq 'connect') {
                return 403 unless $request->{body} =~ /^token=(\w+)/ && knows($server, lc $1);
                my $id = begin($server);
                $id =~ s/^(.{8})(.{4})(.{4})(.{4})/$1-$2-$3-$4-/;
                my $token = uc begin($server);
                $server->{tunnels}{$id} = $is_older ? '' : $token;
                return (200, [$is_older ? () : "Guacamole-Tunnel-Token: $token"], $id);
            }
            if ($path =~ /tunnel$/) {
                my ($id) = $query =~ /^(?:read|write):([^:]+)/;
                my $token = $request->{head}{'guacamole-tunnel-token'} // '';
                return 404 if ($server->{tunnels}{$id} // 'none') ne $token;
                return (200, ['Content-Type: application/octet-stream'], '4.sync,1.1;');
            }
            my $token = $request->{head}{'guacamole-token'} // $request->{args}{token} // '';
            return knows($server, lc $token) ? json({}) : 403;
        },
        steps => [
            sub {
                my ($client) = @_;
                my $reply = ask($client, 'POST', '/guacamole/api/tokens', head => {@form},
                    body => 'username=a&password=b') or return 0;
                $client->{token} = read_json($reply)->{authToken};
            },
            sub {
                my ($client) = @_;
                my ($uri, %head) = $with_token->($client, '/guacamole/api/session/data/db/users');
                return ask($client, 'GET', $uri, head => \%head);
            },
            sub {
                my ($client) = @_;
                my $reply = ask($client, 'POST', '/guacamole/tunnel?connect', head => {@form},
                    body => "token=$client->{token}&GUAC_ID=1") or return 0;
                ($client->{id}) = $reply =~ /([\w-]{36})$/;
                $client->{tunnel_token} = header('Guacamole-Tunnel-Token', $reply);
                return 1;
            },
            map {
                my $n = $_;
                (
                    sub { return $in_tunnel->($_[0], 'GET', "read:$_[0]{id}:$n") },
                    sub { return $in_tunnel->($_[0], 'POST', "write:$_[0]{id}") },
                );
            } 0 .. 2,
        ],
    };
}

my $t = Test::Nginx->new()->has(qw/ http proxy map /)->plan(8);

my @patterns = (guacamole(0), guacamole(1));
serve_patterns($t, \@patterns, 8081 .. 8086);
my @name = ('since 1.4', 'before 1.4');

# Without its lines, and without trying the next server, which is of use with them alone.
published($t, 'guacamole.conf', 0, 'proxy_next_upstream http_404' => 'proxy_next_upstream off; #');
$t->run();
for my $n (0, 1) {
    my ($broken) = broken($patterns[$n], "p$n.bare", at => port($n ? 8090 : 8080));
    cmp_ok($broken, '>', 0, "$name[$n]: $broken of @{[ CLIENTS ]} broken by round robin");
}
$t->stop();

published($t, 'guacamole.conf', 1);
$t->run();
for my $n (0, 1) {
    my ($broken, $servers, $what) = broken($patterns[$n], "p$n.sticky", at => port($n ? 8090 : 8080));
    is($broken, 0, "$name[$n]: none with its line") or diag($what);
    is($servers, 3, "$name[$n]: at three servers");
}
$t->stop();

# One who asks for what nobody has begins no session, and of each tunnel only the first request is
# tried at several servers.
my @tried = $t->read_file('logs/access.log') =~ m!^\w+ /guacamole/tunnel 200 ([^\n]*?) \w+$!mg;
my $several = grep { /,/ } @tried;
cmp_ok($several, '<=', CLIENTS, "$several of @{[ scalar @tried ]} requests of tunnels tried elsewhere");
cmp_ok($several, '>', 0, 'as nobody knows where a tunnel begins');
