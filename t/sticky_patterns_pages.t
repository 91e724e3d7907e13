#!/usr/bin/perl

# Tests for the lines of README's table for applications with pages and live connections that cannot
# be had here, or not in full, by servers and clients that hand out ids and send them as those do;
# without these, a line that loses the sessions of such an application could be published.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Patterns;

use Digest::MD5 qw/ md5 /;
use MIME::Base64 qw/ encode_base64 /;

# Browsers: those with an even number take cookies, the others follow links with the id.
sub with_link { return $_[0]{number} % 2 }

# A page of a servlet container. Behind the id it writes which servers have the session, which
# changes.
sub servlet {
    my ($value_of, $server, $request) = @_;
    my $value = ($request->{head}{cookie} // '') =~ /JSESSIONID=([^;]+)/ ? $1
        : $request->{path} =~ /;jsessionid=([^\/]+)/ ? $1 : undef;
    my ($id) = ($value // '') =~ /^(?:\d{4})?([0-9a-f]{32})(?![0-9a-f])/;
    return 403 if defined $value && !knows($server, $id);
    $id //= begin($server);
    my $count = $server->{sessions}{$id}++;
    my $new = $value_of->($id, $count);
    return (200, ['Content-Type: text/html', "Set-Cookie: JSESSIONID=$new; path=/; HttpOnly"],
        "<a href=\"/shop/cart;jsessionid=$new?page=$count\">cart</a>");
}

sub browse {
    my ($client) = @_;
    my $jar = $client->{jar};
    delete local $client->{jar} if with_link($client);
    my $link = with_link($client) && $client->{link} || '/shop/cart';
    my $reply = ask($client, 'GET', $link) or return 0;
    ($client->{link}) = $reply =~ /href="([^"]+)"/;
    return 1;
}

my $weblogic = {
    name  => 'WebLogic',
    serve => sub {
        return servlet(sub { "$_[0]!-1630882417!" . ($_[1] < 2 ? 'NONE' : 900 + $_[1]) }, @_);
    },
    steps => [(\&browse) x 5],
    cookies => 1,
};

# In front of the id stands a number that goes up when the session changes.
my $websphere = {
    name  => 'WebSphere',
    serve => sub { return servlet(sub { sprintf '%04d%s:1fd3k2j7', $_[1] / 2, $_[0] }, @_) },
    steps => [(\&browse) x 5],
    cookies => 1,
};

# A cookie with more than the id.
sub with_cookie {
    my ($row, $name, $before, $behind) = @_;
    my $step = sub { return ask($_[0], 'GET', '/account') };
    return {
        name  => $row,
        serve => sub {
            my ($server, $request) = @_;
            my ($value) = ($request->{head}{cookie} // '') =~ /\Q$name\E=([^;]*)/;
            return knows($server, $value =~ /^\Q$before\E(\w{32})/) ? 200 : 401 if defined $value;
            my $id = begin($server);
            return (200, ["Set-Cookie: $name=$before$id$behind; Path=/; HttpOnly"]);
        },
        steps => [($step) x 4],
        cookies => 1,
    };
}

my $asp_net = {
    name  => 'ASP.NET without cookies',
    serve => sub {
        my ($server, $request) = @_;
        my ($id, $page) = $request->{path} =~ m!^/shop/\(S\((\w+)\)\)/(\w+)\.aspx!;
        return (302, ['Location: /shop/(S(' . begin($server) . '))/default.aspx']) if !$id;
        return 302 if !knows($server, $id);
        return (200, ['Content-Type: text/html'], "<a href=\"/shop/(S($id))/cart.aspx\">cart</a>");
    },
    steps => [
        sub {
            my ($client) = @_;
            ($client->{link}) = header('Location', ask($client, 'GET', '/shop/default.aspx'));
        },
        (sub {
            my ($client) = @_;
            my $reply = ask($client, 'GET', $client->{link}) or return 0;
            ($client->{link}) = $reply =~ /href="([^"]+)"/;
        }) x 3,
    ],
};

# Playlists: that of qualities names one of pieces, which names pieces, each with the id.
my $hls = {
    name  => 'HLS with ids in playlists',
    serve => sub {
        my ($server, $request) = @_;
        my @type = ('Content-Type: application/vnd.apple.mpegurl');
        my $id = $request->{args}{session};
        if (!defined $id) {
            $id = begin($server);
            return (200, \@type, "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1280000\nlow.m3u8?session=$id\n");
        }
        return 403 if !knows($server, $id);
        return 200 if $request->{path} =~ /ts$/;
        return (200, \@type, "#EXTM3U\n#EXTINF:9,\npiece1.ts?session=$id\n");
    },
    steps => [
        sub {
            my ($client) = @_;
            ($client->{list}) = ask($client, 'GET', '/live/all.m3u8') =~ /^(low.*)$/m;
        },
        (sub {
            my ($client) = @_;
            my $reply = ask($client, 'GET', "/live/$client->{list}") or return 0;
            my ($piece) = $reply =~ /^(piece.*)$/m;
            return ask($client, 'GET', "/live/$piece");
        }) x 3,
    ],
};

# Streamlit's own id is in the frames of a WebSocket and in the path of an upload; the cookie that
# protects its forms is there before, in another mask each time that it is set.
my $streamlit = {
    name  => 'Streamlit',
    serve => sub {
        my ($server, $request) = @_;
        my ($token) = ($request->{head}{cookie} // '') =~ /_streamlit_xsrf=2\|\w+\|(\w+)\|/;
        if ($request->{path} eq '/_stcore/health') {
            my $mask = sprintf '%08x', ++$server->{masks};
            # The mask is no part of what a browser is recognised by.
            $token //= begin($server);
            return (200, ["Set-Cookie: _streamlit_xsrf=2|$mask|$token|1764230000; Path=/"], 'ok');
        }
        return 403 if !defined $token;
        if ($request->{path} eq '/_stcore/stream') {
            return (200, ['Content-Type: application/octet-stream'], begin($server));
        }
        my ($id) = $request->{path} =~ m!^/_stcore/upload_file/(\w+)/!;
        return knows($server, $id) ? 204 : 400;
    },
    steps => [
        sub { return ask($_[0], 'GET', '/_stcore/health') },
        sub {
            my ($client) = @_;
            my $reply = ask($client, 'GET', '/_stcore/stream') or return 0;
            ($client->{id}) = $reply =~ /(\w{32})$/;
        },
        (
            sub { return ask($_[0], 'PUT', "/_stcore/upload_file/$_[0]{id}/f1", body => 'a,b') },
            sub { return ask($_[0], 'GET', '/_stcore/health') },
        ) x 3,
    ],
    cookies => 1,
};

# The client makes the id. It opens the connection with it, and sends it in a header from then on.
my $marimo = {
    name  => 'marimo with `--no-skew-protection`',
    serve => sub {
        my ($server, $request) = @_;
        return 200 if $request->{path} eq '/';
        if ($request->{path} eq '/ws') {
            $server->{sessions}{ $request->{args}{session_id} } = 1;
            return 200;
        }
        return knows($server, $request->{head}{'marimo-session-id'}) ? json({ success => \1 }) : 500;
    },
    steps => [
        sub { return ask($_[0], 'GET', '/') },
        sub {
            my ($client) = @_;
            $client->{id} = "s_$client->{number}" . join '', map { ('a' .. 'z')[rand 26] } 1 .. 5;
            return ask($client, 'GET', "/ws?session_id=$client->{id}");
        },
        (sub {
            my ($client) = @_;
            return ask($client, 'POST', '/api/kernel/run', body => '{"cellIds":["Hbol"]}',
                head => { 'Content-Type' => 'application/json', 'Marimo-Session-Id' => $client->{id} });
        }) x 3,
    ],
};

# The token is 600 bytes long, in Base64, and comes back with escapes.
my $signalr = {
    name  => 'SignalR of ASP.NET (classic)',
    serve => sub {
        my ($server, $request) = @_;
        if ($request->{path} =~ /negotiate$/) {
            my $id = begin($server);
            my $token = encode_base64(join('', map { md5("$id $_") } 1 .. 28), '');
            $server->{sessions}{$token} = 1;
            return json({
                Url => '/signalr', ConnectionToken => $token, ConnectionId => $id, KeepAliveTimeout => 20,
                TryWebSockets => \0, ProtocolVersion => '1.5',
            });
        }
        return knows($server, $request->{args}{connectionToken}) ? json({ C => 'd-1', M => [] }) : 400;
    },
    steps => [
        sub {
            my ($client) = @_;
            my $reply = ask($client, 'GET', '/signalr/negotiate?clientProtocol=1.5') or return 0;
            my $token = read_json($reply)->{ConnectionToken};
            $client->{token} = $token =~ s/([^\w.-])/sprintf '%%%02X', ord $1/ger;
        },
        (map {
            my ($method, $action) = @$_;
            sub {
                return ask($_[0], $method, "/signalr/$action?transport=longPolling&clientProtocol=1.5"
                    . "&connectionToken=$_[0]{token}&connectionData=%5B%5D", body => 'data=%7B%7D',
                    head => { 'Content-Type' => 'application/x-www-form-urlencoded' });
            };
        } ['GET', 'connect'], ['GET', 'start'], ['POST', 'send'], ['GET', 'poll'], ['POST', 'send']),
    ],
};

# The status is in the JSON. Of one who polls without a token, or with one that the server does not
# know, the connection begins anew: for the client, the one before is lost.
my $phoenix = {
    name  => 'Phoenix, polling',
    serve => sub {
        my ($server, $request) = @_;
        my ($method, $token) = ($request->{method}, $request->{args}{token});
        return json({ status => 200, token => $token, messages => [] }) if knows($server, $token);
        return json($method eq 'GET' ? { status => 410, token => begin($server) } : { status => 410 });
    },
    steps => [
        sub {
            my ($client) = @_;
            my $reply = ask($client, 'GET', '/live/longpoll?vsn=2.0.0') or return 0;
            $client->{token} = read_json($reply)->{token};
        },
        (map {
            my $method = $_;
            sub {
                my ($client) = @_;
                my $reply = ask($client, $method, "/live/longpoll?vsn=2.0.0&token=$client->{token}",
                    body => $method eq 'GET' ? '' : '["1","1","room:lobby","phx_join",{}]',
                    head => { 'Content-Type' => 'application/json' });
                return $reply && read_json($reply)->{status} == 200;
            };
        } qw/ POST GET POST GET /),
    ],
};

my @patterns = (
    $weblogic, $websphere, with_cookie('express-session', 'connect.sid', 's%3A', '.a%2Bb%2F'),
    with_cookie('ASP.NET', 'ASP.NET_SessionId', '', ''), $asp_net, $hls, $streamlit, $marimo, $signalr,
    $phoenix,
);
my $t = Test::Nginx->new()->has(qw/ http proxy /)->plan(3 * @patterns);
start_patterns($t, @patterns);
whole_with_line(@patterns);
