#!/usr/bin/perl

# Tests for WebSocket: the request that opens one finds its server by id or cookie, and so does the
# next after a break; without them a chat is opened at a server that does not know its session.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Peers qw/ needs upstreams locations /;
use Sticky::PeersWebSocket qw/ websocket_server open_chat say hang_up /;

needs('websockets for python');

my $t = Test::Nginx->new()->has(qw/ http proxy map upstream_least_conn /)->plan(13);

my $upstreams = upstreams(join "\n        ", map { "server 127.0.0.1:$_;" } 8081 .. 8083);
my $locations = locations(join "\n            ", 'proxy_pass http://UPSTREAM;',
    'proxy_http_version 1.1;', 'proxy_set_header Upgrade $http_upgrade;',
    'proxy_set_header Connection $connection_upgrade;');

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    map \$http_upgrade \$connection_upgrade {
        default  upgrade;
        ''       close;
    }

    log_format  chat  '\$status \$sticky_status \$sticky_peer';
    access_log  %%TESTDIR%%/chat.log chat;

$upstreams

    # A connection that stays open counts: the other server is the next for a newcomer.
    upstream least {
        zone least 64k;
        least_conn;
        sticky;
        server 127.0.0.1:8081 max_conns=2;
        server 127.0.0.1:8082;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

$locations
        location /least/ {
            proxy_pass http://least;
            proxy_http_version 1.1;
            proxy_set_header Upgrade \$http_upgrade;
            proxy_set_header Connection \$connection_upgrade;
            add_header X-Status \$sticky_status always;
        }
    }
}

EOC

my @ports = map { port($_) } 8081 .. 8083;
websocket_server($t, @ports);
$t->run();
$t->waitforsocket("127.0.0.1:$_") for @ports;

# Ids that a page has handed out.

my @pages = map { get('/query/page') } 1 .. 8;
my @chats = map {
    my ($link) = /href="([^"]*)"/;
    { link => "/query/$link", server => served_by($_) };
} @pages;

my (%status, @messages, @expected);
for my $chat (@chats) {
    ($chat->{socket}, my $head) = open_chat($chat->{link});
    $status{join ' ', substr($head, 9, 3), status($head)}++;
}
is_deeply(\%status, { '101 HIT' => 8 }, 'ids: opened at the right server');

for my $round (1 .. 3) {
    for my $chat (@chats) {
        push @messages, say($chat->{socket}, "hello $round");
        push @expected, "$chat->{server} $round hello $round";
    }
}
is_deeply(\@messages, \@expected, 'ids: chats at the same time');
is(scalar(grep { hang_up($_->{socket}) } @chats), 8, 'ids: ended in order');

@messages = map { my ($socket) = open_chat($_->{link}); say($socket, 'again') } @chats;
is_deeply(\@messages, [map { "$_->{server} 4 again" } @chats], 'ids: opened again');

@messages = map {
    my $link = $_->{link} =~ s/query/none/r;
    map { my ($socket) = open_chat($link); say($socket, 'again') } 1 .. 3;
} @chats;
ok((grep { /lost/ } @messages), 'ids: lost without sticky');

# Cookies: the answer to the handshake brings one when there was none before.

my (%given, %seen);
for (1 .. 8) {
    my ($socket, $head) = open_chat('/cookie/chat');
    $given{served_by($head)}{join '; ', cookies($head)}++;
    hang_up($socket);
}
is(join(' ', sort keys %given), join(' ', sort @ports), 'cookies: all servers');
is(scalar(grep { keys %$_ == 1 } values %given), 3, 'cookies: one for each server');

for my $port (@ports) {
    my ($cookie) = (keys %{ $given{$port} })[0] =~ /^(route=\w+)/;
    for (1 .. 4) {
        my ($socket, $head) = open_chat('/cookie/chat', "Cookie: $cookie");
        my ($name) = say($socket, 'x') =~ /^(\d+)/;
        $seen{join ' ', $name, status($head)}++;
    }
}
is_deeply(\%seen, { map { ("$_ HIT" => 4) } @ports }, 'cookies: back to the server');

# An open chat is a connection of its server.

my ($cookie) = (keys %{ $given{$ports[0]} })[0] =~ /^(route=\w+)/;
my @open = map { (open_chat('/least/chat', "Cookie: $cookie"))[0] } 1, 2;
is(join(' ', map { substr say($_, 'x'), 0, 4 } @open), "$ports[0] $ports[0]", 'two chats are open');
is_deeply([map { served_by(get('/least/page')) } 1 .. 4], [($ports[1]) x 4],
    'newcomers go elsewhere');
my $reply = get('/least/page', "Cookie: $cookie");
is(join(' ', served_by($reply), status($reply)), "$ports[1] FULL", 'the server is full');

hang_up($_) for @open;
my $back = eventually(sub {
    my $reply = get('/least/page', "Cookie: $cookie");
    served_by($reply) eq $ports[0] && status($reply) eq 'HIT';
});
ok($back, 'and free again when the chats have ended');

# What the log says of all of them.

my @lines = split /\n/, $t->read_file('chat.log');
is(scalar(grep { /^101 HIT 127\.0\.0\.1:\d+$/ } @lines) >= 30, 1, 'status and server in the log');
