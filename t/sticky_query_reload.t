#!/usr/bin/perl

# Tests for promise 6, sessions outlive processes: a reload, another order of servers, servers that
# come and go, another size of the zone; without it every change of the configuration logs out all
# users of all servers.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(32);

$t->write_file_expand('backends.conf', backends());

# What a test changes, is in one place.
my $conf = sub {
    my (%change) = (
        servers => '8081 8082', more => '', options => '', zone => 'zone=own:128k', @_
    );
    my $servers = join "\n        ", map { "server 127.0.0.1:$_ $change{more};" }
        split ' ', $change{servers};
    return <<"EOC";

%%TEST_GLOBALS%%

daemon off;

worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    upstream u {
        sticky mode=query $change{zone} $change{options};
        $servers
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  \$sticky_status  always;

        location / {
            proxy_pass http://u;
        }
    }
}

EOC
};

$t->write_file_expand('nginx.conf', $conf->());
$t->run();

# Sessions at both servers, half of them used once.

my %home;
for my $n (1 .. 40) {
    $home{$n} = served_by(get('/', 'X-Page' => link_to($n)));
    get("/?sid=$n") if $n % 2;
}
is(lost(), '', 'all sessions hold');
is(join('', sort { $a cmp $b } keys %{{ map { $_ => 1 } values %home }}), 'AB', 'at two servers');

for (
    ['nothing changed'],
    ['another order of servers',        servers => '8082 8081'],
    ['a server added before them',      servers => '8083 8082 8081'],
    ['a server removed',                servers => '8081 8082'],
    ['other weights',                   more => 'weight=3'],
    ['another expires',                 options => 'expires=10m'],
    ['the default expires',             options => ''],
    ['a larger zone',                   zone => 'zone=own:2m'],
    ['a larger zone, another order',    zone => 'zone=own:2m', servers => '8082 8081'],
    ['a smaller zone',                  zone => 'zone=own:64k'],
    ['other parameters',                options => 'learn=location from=form,query no_fallback'],
    ['upstream\'s own zone',            more => "; zone own_of_u 128k"],
) {
    my ($what, %change) = @$_;
    $change{zone} //= 'zone=own:64k' if $what =~ /other parameters|own zone/;
    ok(reload_with($t, $conf->(%change)), "reload: $what");
    is(lost(), '', "$what: all sessions hold");
}

# A server goes: its sessions go elsewhere, once, the others stay.

my @of_a = grep { $home{$_} eq 'A' } sort { $a <=> $b } keys %home;
my @of_b = grep { $home{$_} eq 'B' } sort { $a <=> $b } keys %home;

ok(reload_with($t, $conf->(servers => '8082 8083', zone => 'zone=own:64k')), 'reload: no A');
is(join(' ', map { status(get("/?sid=$_")) } @of_a[0 .. 3]), 'GONE GONE GONE GONE',
    'server removed: its sessions are gone');
is(join(' ', map { status(get("/?sid=$_")) } @of_a[0 .. 3]), 'HIT HIT HIT HIT',
    'server removed: and are at another one from then on');
is(lost(@of_b), '', 'server removed: the sessions of the other hold');

ok(reload_with($t, $conf->(zone => 'zone=own:64k')), 'reload: A again');
is(lost(@of_b, @of_a[4 .. $#of_a]), '', 'server back: so do those without a request meanwhile');

# The sessions that are not where they were, or whose id is not known.
sub lost {
    my @ids = @_ ? @_ : sort { $a <=> $b } keys %home;
    return join ', ', grep { $_ ne '' } map {
        my $reply = get("/?sid=$_");
        status($reply) eq 'HIT' && served_by($reply) eq $home{$_}
            ? '' : "$_: " . status($reply) . ' ' . served_by($reply);
    } @ids;
}
