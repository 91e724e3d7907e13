#!/usr/bin/perl

# Tests for on_failure=keep: the sessions of a server that is down or has failed stay there while
# others stand in; without them one slow answer moves every session of a server for good, as
# max_fails=1 is nginx's default.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;

my @kinds = (
    [plain => ''],
    [zone => 'zone zone 64k;'],
    [least => 'zone least 64k; least_conn;'],
);
my @policies = qw/ keep move /;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite upstream_least_conn upstream_zone /)
    ->plan(2 * (10 * @kinds + 12) + 3);

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', configuration());
$t->run();

# Sessions at A.

my (%ids, $number);
for my $upstream (map { my $policy = $_; map { "${policy}_$_->[0]" } @kinds } @policies) {
    push @{ $ids{$upstream} }, new_id($upstream) for 1 .. 3;
}

# A closes connections: it fails with the first request, and is not asked again.

$t->write_file('closed_A', '');

for my $policy (@policies) {
    for my $kind (map { $_->[0] } @kinds) {
        my $upstream = "${policy}_$kind";
        my ($first, $second, $third) = @{ $ids{$upstream} };

        my $reply = get("/$upstream/?sid=$first");
        my $standin = served_by($reply);
        like($standin . status($reply), qr/^[BC]GONE$/, "$upstream: another server stands in");
        my $next = get("/$upstream/?sid=$first");
        my $wanted = $policy eq 'keep' ? 'GONE' : 'HIT';
        is(status($next), $wanted, "$upstream: the next request");

        # The server that stands in hands the id out itself, as an application does that takes any.
        $reply = get("/$upstream/?sid=$second", 'X-Page' => link_to($second));
        is(status($reply), 'GONE', "$upstream: an answer with the id");
        is(status(get("/$upstream/?sid=$second")), $wanted, "$upstream: the next request");

        # So does a page for somebody else.
        $reply = get("/$upstream/", 'X-Page' => link_to($third));
        is(status(get("/$upstream/?sid=$third")), $wanted, "$upstream: shown on another page");

        # A new id is the session of the server that has handed it out.
        $reply = get("/$upstream/?sid=$first", 'X-Page' => link_to("new$first"));
        is(where("/$upstream/?sid=new$first"), served_by($reply) x 6, "$upstream: a new id");
    }
    my $cookie = get("/${policy}_cookie/", Cookie => 'route=0');
    like(served_by($cookie) . status($cookie), qr/^[BC]GONE$/, "$policy, cookie: stands in");
    my $own = { B => 1, C => 2 }->{ served_by($cookie) };
    is_deeply([cookies($cookie)], ['route=' . ($policy eq 'keep' ? 0 : $own) . '; Path=/'],
        "$policy, cookie: the server that it names");
    $cookie = get("/${policy}_cookie/", Cookie => 'route=0');
    like(served_by($cookie) . status($cookie), qr/^[BC]GONE$/, "$policy, cookie: not asked again");
    my $page = get("/${policy}_rewrite/?route=0", 'X-Page' => '<a href="/next">');
    like(served_by($page) . status($page), qr/^[BC]GONE$/, "$policy, rewrite: stands in");
    my $link = $policy eq 'keep' ? 0 : { B => 1, C => 2 }->{ served_by($page) };
    like($page, qr!"/next\?route=$link"!, "$policy, rewrite: the links of the page");
    is(status(get("/${policy}_strict/", Cookie => 'route=0')), 'GONE', "$policy, no_fallback")
        for 1, 2;
}

# A is back, in workers that know of no failure.

unlink $t->testdir() . '/closed_A';
ok(reload_with($t, configuration()), 'reload');
for my $policy (@policies) {
    for my $kind (map { $_->[0] } @kinds) {
        my $upstream = "${policy}_$kind";
        for my $id (@{ $ids{$upstream} }) {
            my $where = where("/$upstream/?sid=$id");
            like($where, $policy eq 'keep' ? qr/^A{6}$/ : qr/^(?:B{6}|C{6})$/,
                "$upstream: where the session is now");
        }
        is(status(get("/$upstream/?sid=$ids{$upstream}[0]")), 'HIT', "$upstream: it is at home");
    }
}

# A is down.

my %at = map { $_ => new_id("${_}_plain") } @policies;
ok(reload_with($t, configuration('down')), 'reload with A down');
for my $policy (@policies) {
    like(visit("/${policy}_plain/?sid=$at{$policy}"), qr/^[BC] GONE$/, "$policy: stands in");
    like(visit("/${policy}_plain/?sid=$at{$policy}"),
        $policy eq 'keep' ? qr/^[BC] GONE$/ : qr/^[BC] HIT$/, "$policy: the next request");
}

# A is removed: there is nothing to wait for.

ok(reload_with($t, configuration('removed')), 'reload without A');
for my $policy (@policies) {
    my $uri = "/${policy}_plain/?sid=$at{$policy}";
    ok(eventually(sub { visit($uri) =~ /^[BC] HIT$/ }), "$policy: the session moves");
    my %seen = map { visit($uri) => 1 } 1 .. 6;
    is(keys %seen, 1, "$policy: and stays");
    like(join(',', keys %seen), qr/^[BC] HIT$/, "$policy: at another server");
}

# A new session at A.
sub new_id {
    my ($upstream) = @_;
    while (1) {
        my $id = 'id' . ++$number;
        return $id if served_by(get("/$upstream/", 'X-Page' => link_to($id))) eq 'A';
    }
}

sub configuration {
    my ($state) = @_;
    $state //= '';
    my %down = (8081 => $state eq 'down' ? ' down' : '', 8082 => '', 8083 => '');
    my $servers = join "\n        ",
        map { "server 127.0.0.1:$_ max_fails=1 fail_timeout=1h$down{$_};" }
        grep { $_ != 8081 || $state ne 'removed' } 8081 .. 8083;
    my $upstreams = join '', map {
        my $policy = $_;
        my $shared = <<"EOC";
    upstream ${policy}_cookie {
        sticky hash=index on_failure=$policy;
        $servers
    }

    upstream ${policy}_strict {
        sticky hash=index on_failure=$policy no_fallback;
        $servers
    }

    upstream ${policy}_rewrite {
        sticky mode=rewrite hash=index on_failure=$policy;
        $servers
    }

EOC
        join '', $shared, map { <<"EOC" } @kinds;
    upstream ${policy}_$_->[0] {
        @{[ $_->[1] =~ s/zone \K\w+/${policy}_$&/r ]}
        sticky mode=query on_failure=$policy zone=sessions:1m;
        $servers
    }

EOC
    } @policies;
    return <<"EOC";

%%TEST_GLOBALS%%

daemon off;
worker_processes 1;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

$upstreams
    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  \$sticky_status  always;

        location ~ ^/(?<upstream>\\w+)/(?<rest>.*) {
            proxy_pass http://\$upstream/\$rest\$is_args\$args;
        }
    }
}

EOC
}
