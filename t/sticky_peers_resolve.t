#!/usr/bin/perl

# Tests for servers whose addresses change at run time (`server NAME resolve`, from nginx 1.27.3
# on); without them a session is lost when another address comes or goes, or is sent to one that has
# gone.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::PeersDns qw/ dns_server set_names /;

use Digest::MD5 qw/ md5_hex /;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite upstream_zone upstream_least_conn /);
plan(skip_all => 'servers do not come and go before nginx 1.27.3') unless $t->has_version('1.27.3');

my %upstreams = (
    plain  => '',
    least  => 'least_conn;',
    strict => '',
);
$t->plan(11 * 2 + 10);

my $upstreams = join '', map { <<"EOC" } sort keys %upstreams;
    upstream $_ {
        zone $_ 256k;
        sticky mode=query@{[ $_ eq 'strict' ? ' no_fallback' : '' ]};
        $upstreams{$_}
        server shop.test:%%PORT_8081%% resolve;
    }

    upstream ${_}_cookie {
        zone ${_}_cookie 256k;
        sticky@{[ $_ eq 'strict' ? ' no_fallback' : '' ]};
        $upstreams{$_}
        server shop.test:%%PORT_8081%% resolve;
    }
EOC

my $listeners = join "\n        ", map { "listen 127.0.0.$_:%%PORT_8081%%;" } 2 .. 6;

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;
worker_processes 4;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    resolver 127.0.0.1:%%PORT_8982_UDP%% valid=1s ipv6=off;

$upstreams
    server {
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;

        location ~ ^/(?<upstream>\\w+)(?<rest>/.*)\$ {
            proxy_pass http://\$upstream\$rest\$is_args\$args;
            proxy_next_upstream off;
            add_header X-Status \$sticky_status always;
        }
    }

    server {
        $listeners
        server_name  localhost;
        default_type text/html;

        location / {
            add_header X-Server \$server_addr;
            return 200 '<a href="?sid=s\$request_id">x</a>';
        }

        # Ten kilobytes in a second, so that an answer outlives its server's address.
        location /slow {
            add_header X-Server \$server_addr;
            limit_rate 10k;
            alias %%TESTDIR%%/slow;
        }
    }
}

EOC

$t->write_file('slow', 'x' x 40_000);
set_names($t, 'shop.test' => [addresses(2, 3, 4)]);
$t->run_daemon(\&dns_server, port(8982, udp => 1), $t->testdir());
$t->run();

sub addresses { return map { "127.0.0.$_" } @_ }

# Whether exactly these servers are seen now, in all the upstreams.
sub settled {
    my @wanted = addresses(@_);
    return wait_until_all(sub {
        my ($upstream) = @_;
        my %seen = map { served_by($_) => 1 } map { get("/$upstream/") } 1 .. 40;
        return join(' ', sort keys %seen) eq join ' ', sort @wanted;
    });
}

sub wait_until_all {
    my ($check) = @_;
    for my $upstream (map { ($_, "${_}_cookie") } sort keys %upstreams) {
        # The resolver's second, and one more for a query that got lost.
        return 0 unless eventually(sub { $check->($upstream) });
    }
    return 1;
}

ok(settled(2, 3, 4), 'three addresses');

my (%sessions, %late);
for my $upstream (sort keys %upstreams) {
    $sessions{$upstream} = begin($upstream);
    $late{$upstream} = begin($upstream);
}

# Starts sessions, some at each server: server => the ids.
sub begin {
    my ($upstream) = @_;
    my %ids;
    for (1 .. 24) {
        my $reply = get("/$upstream/");
        my ($id) = $reply =~ /sid=(\w+)/;
        push @{ $ids{ served_by($reply) } }, $id;
    }
    return \%ids;
}

# What the sessions of a server meet: 'SERVER STATUS' => how often; HERE for its own server.
sub meet {
    my ($upstream, $server, $ids) = @_;
    my %seen;
    for my $id (@$ids) {
        my $reply = get("/$upstream/?sid=$id");
        my $where = served_by($reply) || substr $reply, 9, 3;
        $seen{join ' ', $where eq $server ? 'HERE' : $where, status($reply)}++;
    }
    return \%seen;
}

sub meet_cookie {
    my ($upstream, $server) = @_;
    my $cookie = 'Cookie: route=' . md5_hex("$server:" . port(8081));
    my %seen;
    for (1 .. 6) {
        my $reply = get("/${upstream}_cookie/", $cookie);
        my $where = served_by($reply) || substr $reply, 9, 3;
        $seen{join ' ', $where eq $server ? 'HERE' : 'elsewhere', status($reply)}++;
    }
    return \%seen;
}

sub here { return { 'HERE HIT' => scalar @{ $_[0] } } }

my ($stays, $leaves, $other) = addresses(2, 3, 4);

# A long answer of the server that leaves.

my $leaving = 'sid=' . $sessions{plain}{$leaves}[0];
my $slow = get("/plain/slow?$leaving", { start => 1 });

# One comes, one goes.

set_names($t, 'shop.test' => [addresses(6, 4, 2)]);
ok(settled(2, 4, 6), 'one address has come, one has gone');

for my $upstream (qw/ plain least /) {
    my $ids = $sessions{$upstream};
    is_deeply(meet($upstream, $_, $ids->{$_}), here($ids->{$_}), "$upstream: sessions of $_ stay")
        for $stays, $other;
    is_deeply(meet_cookie($upstream, $_), { 'HERE HIT' => 6 }, "$upstream: cookies of $_ stay")
        for $stays, $other;

    my $met = meet($upstream, $leaves, $ids->{$leaves});
    is_deeply([grep { !/^127\.0\.0\.[246] GONE$/ } keys %$met], [],
        "$upstream: sessions of the address that has left go elsewhere");
    $met = meet($upstream, $leaves, $ids->{$leaves});
    is_deeply([grep { !/^127\.0\.0\.[246] HIT$/ } keys %$met], [], "$upstream: and stay there");
    # nginx does not keep the address that such a cookie was made from.
    is_deeply(meet_cookie($upstream, $leaves), { 'elsewhere MISS' => 6 },
        "$upstream: as do its cookies");
}

is_deeply(meet('strict', $leaves, $sessions{strict}{$leaves}),
    { '502 GONE' => scalar @{ $sessions{strict}{$leaves} } }, 'no_fallback: refused');
is_deeply(meet('strict', $stays, $sessions{strict}{$stays}), here($sessions{strict}{$stays}),
    'no_fallback: sessions of another stay');

is(length((do { local $/; <$slow> } =~ /\x0d\x0a\x0d\x0a(.*)/s)[0]), 40_000,
    'an answer of the address that has left is complete');

# It comes back.

set_names($t, 'shop.test' => [addresses(3, 2, 4)]);
ok(settled(2, 3, 4), 'the address is back');

for my $upstream (qw/ plain least /) {
    my $ids = $late{$upstream};
    is_deeply(meet($upstream, $leaves, $ids->{$leaves}), here($ids->{$leaves}),
        "$upstream: sessions that slept meanwhile find their server");
    is_deeply(meet_cookie($upstream, $leaves), { 'HERE HIT' => 6 }, "$upstream: cookies, too");
    my $moved = meet($upstream, $leaves, $sessions{$upstream}{$leaves});
    # Some went to the address that has left now, in its turn.
    is_deeply([grep { !/^(?:127\.0\.0\.[24] HIT|\S+ GONE)$/ } keys %$moved], [],
        "$upstream: sessions that have moved stay where they went");
}

# A reload keeps what is resolved.

my @workers = $t->read_file('error.log') =~ /start worker process (\d+)/g;
$t->reload();
eventually(sub { !grep { kill 0, $_ } @workers });
is_deeply(meet('plain', $stays, $late{plain}{$stays}), here($late{plain}{$stays}),
    'sessions stay over a reload');

# The name has no address any more, and gets them back.

set_names($t);
ok(wait_until_all(sub { get("/$_[0]/") =~ /^HTTP\S+ 502 / }), 'no address left');
is(substr(get("/plain/?sid=$late{plain}{$stays}[0]"), 9, 3), '502', 'a session without servers');

set_names($t, 'shop.test' => [addresses(2, 3, 4)]);
ok(settled(2, 3, 4), 'all addresses are back');
for my $upstream (qw/ plain least /) {
    is_deeply(meet($upstream, $stays, $late{$upstream}{$stays}), here($late{$upstream}{$stays}),
        "$upstream: sessions go on");
}
