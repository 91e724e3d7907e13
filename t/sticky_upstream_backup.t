#!/usr/bin/perl

# Tests for backup servers; without these, a session that began on a backup server is lost when the
# primary ones come back, or requests without a session go to backup servers for no reason.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Servers;

my @kinds = (
    [plain => ''],
    [zone => 'zone zone 64k;'],
    [least => 'zone least 64k; least_conn;'],
    [keepalive => 'keepalive 4;'],
);

my $t = Test::Nginx->new()->has(qw/
    http proxy rewrite upstream_keepalive upstream_least_conn upstream_zone
/)->plan(13 * @kinds);

# 8081 is the only primary server, 8082 and 8083 are backup servers: index 1 and 2.

my $upstreams = join '', map { <<"EOC" } @kinds;
    upstream $_->[0] {
        $_->[1]
        sticky hash=index;
        server 127.0.0.1:8081 max_fails=0;
        server 127.0.0.1:8082 max_fails=0 backup;
        server 127.0.0.1:8083 max_fails=0 backup;
    }
EOC

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;
worker_processes 1;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

$upstreams

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location ~ ^/(\\w+)\$ {
            proxy_pass http://\$1;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            add_header X-Status \$sticky_status always;
            add_header X-Tried \$upstream_addr always;
        }
    }
}

EOC

my ($primary, $backup, $spare) = map { port($_) } 8081 .. 8083;
$t->run_daemon(\&server, $_, $_) for $backup, $spare;
$t->run();
$t->waitforsocket("127.0.0.1:$_") for $backup, $spare;

# The primary server is away.

my %began;

for my $kind (map { $_->[0] } @kinds) {
    my $reply = get("/$kind");
    my $server = served_by($reply);
    ok($server eq $backup || $server eq $spare, "$kind: a new session begins on a backup server");
    ($began{$kind}) = join(',', cookies($reply)) =~ /^route=(\d);/;
    is($began{$kind}, $server eq $backup ? 1 : 2, "$kind: its cookie names that one");

    is(tried($kind, 1), "$backup HIT, tried $backup", "$kind: session on the first backup server");
    is(tried($kind, 2), "$spare HIT, tried $spare", "$kind: session on the second");

    $reply = get("/$kind", 'Cookie: route=0');
    like(header('X-Tried', $reply), qr/^127\.0\.0\.1:$primary, /,
        "$kind: session of the primary server tries that first");
    is(status($reply), 'GONE', "$kind: and moves to a backup server");
}

# The primary server comes back.

$t->run_daemon(\&server, $primary, $primary);
$t->waitforsocket("127.0.0.1:$primary");

for my $kind (map { $_->[0] } @kinds) {
    my %seen;
    $seen{served_by(get("/$kind"))}++ for 1 .. 6;
    is_deeply(\%seen, { $primary => 6 }, "$kind: new sessions begin on the primary server");
    my $server = ($backup, $spare)[$began{$kind} - 1];
    is(tried($kind, $began{$kind}), "$server HIT, tried $server",
        "$kind: a session on a backup server stays there");
    is(tried($kind, 0), "$primary HIT, tried $primary", "$kind: session on the primary server");
}

# A backup server goes away.

ask($backup, 'exit');

for my $kind (map { $_->[0] } @kinds) {
    is(tried($kind, 1), "$primary GONE, tried $backup, $primary",
        "$kind: from a backup server to the primary one");
    is(tried($kind, 2), "$spare HIT, tried $spare", "$kind: the other backup server is well");
}

# All but one backup server are away: the balancer gets to it past the others.

ask($primary, 'exit');

for my $kind (map { $_->[0] } @kinds) {
    like(tried($kind, 1), qr/^$spare GONE, tried $backup, $primary, (?:$backup, )?$spare$/,
        "$kind: from one backup server to the other");
    like(tried($kind, 0), qr/^$spare GONE, tried $primary, (?:$backup, )?$spare$/,
        "$kind: from the primary server to a backup one");
}

# Server and status of a request with this cookie, and which servers were tried.
sub tried {
    my ($upstream, $index) = @_;
    my $seen = visit("/$upstream", "Cookie: route=$index", { show => ['X-Tried'] });
    return $seen =~ s/^\S+ \S+\K/, tried/r =~ s/127\.0\.0\.1://gr;
}
