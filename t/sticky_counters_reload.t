#!/usr/bin/perl

# Tests for the counters of upstreams over reloads: with more upstreams than there was room for, with
# fewer, with another number of workers, and with a configuration that is refused; without it, an
# operator's curves fall to zero with each change, or are another upstream's.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Counters;
use Sticky::Nginx;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite map /)->plan(24);

my $conf = sub {
    my (%change) = (workers => 2, more => '', servers => '8081 8082', broken => '', @_);
    my $servers = join ' ', map { "server 127.0.0.1:$_;" } split ' ', $change{servers};
    return <<"EOC";

%%TEST_GLOBALS%%

daemon off;

worker_processes $change{workers};

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    upstream query {
        sticky mode=query zone=z:64k;
        $servers
    }

    upstream cookie {
        sticky;
        $servers
    }

    upstream rewritten {
        sticky mode=rewrite;
        $servers
    }

    upstream own {
        sticky mode=query zone=off;
        server 127.0.0.1:8081;
    }

    upstream plain {
        $servers
    }
    $change{more}

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  \$sticky_status  always;

        location / {
            proxy_pass http://query;
        }

        location /sticky { sticky_status; }

        location ~ ^/to/(\\w+)\$ { proxy_pass http://\$1/?\$args; }
    }
    $change{broken}
}

EOC
};

$t->write_file_expand('nginx.conf', $conf->());
apart($t);
$t->run();

my ($a, $b) = map { '127.0.0.1:' . port($_) } 8081, 8082;
my $start = sums();
is(join(' ', sort keys %$start), 'cookie own query rewritten', 'the sticky upstreams are counted');
cmp_ok(abs($start->{query}{since} - time()), '<', 60, 'since now');
is($start->{query}{grown}, 0, 'the zone has not grown');

# What is counted of each.

my $home = get('/', 'X-Page' => link_to('a'));
get('/?sid=a') for 1 .. 3;
get('/?sid=nobody');
counts($start, 'query', "HIT=3 MISS=1 NEW=1 learned/html=1 " . peer($home) . '=3', 'mode=query');
my ($route) = map { /^(route=\w+)/ } cookies(my $first = get('/to/cookie'));
get('/to/cookie', Cookie => $route) for 1 .. 2;
get('/to/cookie', Cookie => 'route=nobody');
counts($start, 'cookie', 'HIT=2 MISS=1 NEW=1 ' . peer($first) . '=2', 'mode=cookie');
get('/to/rewritten', 'X-Page' => '<a href="/next">next</a>');
counts($start, 'rewritten', 'NEW=1', 'mode=rewrite');
get('/to/own', 'X-Page' => link_to('b'));
# Each worker knows its own sessions.
my %own = (NEW => 1, 'learned/html' => 1);
$own{ status(get('/to/own?sid=b')) }++ for 1 .. 8;
$own{$a} = $own{HIT};
counts($start, 'own', in_words(\%own), 'zone=off, of all workers together');
get('/to/plain');
counts($start, 'plain', '', 'one that is not sticky');

# Nothing of a session: the client goes, the answer is nginx's own.

my $failing = sums();
get('/to/nowhere?sid=a');
get('/?sid=a', { version => '9.9' });
is(join('', map { changed($failing, $_, '') } keys %$failing), '', 'requests that reach no upstream');

# The same after a reload, with another order, a server more, and others less.

my $known = sums();
my %others = (servers => '8083 8082 8081');
ok(reload_with($t, $conf->(%others)), 'reload: another order, one server more');
is_deeply(common(sums(), $known), common($known, $known), 'all is as it was');
get('/?sid=a') for 1 .. 2;
counts($known, 'query', 'HIT=2 ' . peer($home) . '=2', 'and goes on');

# More than there is room for, and more workers.

$known = sums();
my $more = join "\n", map { "upstream more$_ { sticky; server 127.0.0.1:8081; server 127.0.0.1:8082; }" } 1 .. 60;
ok(reload_with($t, $conf->(more => $more, workers => 6)), 'reload: sixty upstreams more, more workers');
my $grown = sums();
cmp_ok($grown->{query}{grown}, '>', 0, 'the zone has grown');
is(scalar keys %$grown, 64, 'all are counted');
delete $_->{grown} for values %$known, values %$grown;
is_deeply(common($grown, $known), common($known, $grown), 'and what was counted before');
get('/?sid=a');
get('/to/more60');
counts($grown, 'query', 'HIT=1 ' . peer($home) . '=1', 'it goes on');
counts($grown, 'more60', 'NEW=1', 'so do the new ones');

# A configuration that is refused has changed nothing, however many others it names.

$known = sums();
my $names = join "\n", map { "upstream refused$_ { sticky; server 127.0.0.1:8081; }" } 1 .. 60;
$t->write_file_expand('nginx.conf', $conf->(more => $names, broken => 'server { listen 127.0.0.1:99999999; }'));
$t->reload();
ok(eventually(sub { $t->read_file('error.log') =~ /\[emerg\].*99999999/ }), 'a configuration is refused');
$t->write_file_expand('nginx.conf', $conf->(more => $more, workers => 6));
is_deeply(common(sums(), $known), common($known, $known), 'nothing has changed');

# Smaller again; those that are gone for a while come back.

ok(reload_with($t, $conf->()), 'reload: as at first');
my $smaller = sums();
delete $_->{grown} for values %$smaller, values %$known;
is_deeply(common($smaller, $smaller)->{cookie}, common($known, $smaller)->{cookie}, 'what is left was kept');
get('/?sid=a');
counts($known, 'query', 'HIT=1 ' . peer($home) . '=1', 'and goes on');
ok(reload_with($t, $conf->(more => $more, workers => 6)) && 64 == keys %{ sums() }, 'and once more');

# What has been added since, once what is expected is counted, a moment after the answer; and nothing
# else comes behind it.
sub changed {
    my ($before, $upstream, $expected) = @_;
    my $now = sub { return added($before, sums(), $upstream) };
    eventually(sub { return $now->() eq $expected });
    select undef, undef, undef, 0.1;
    return $now->();
}

sub counts {
    my ($before, $upstream, $expected, $what) = @_;
    is(changed($before, $upstream, $expected), $expected, $what);
}

sub peer { return { A => $a, B => $b }->{ served_by($_[0]) } }

# What the other reading has, too, but numbers of sessions.
sub common {
    my ($sums, $known) = @_;
    my %left;
    for my $upstream (keys %$known) {
        my $own = $sums->{$upstream} // next;
        $left{$upstream} = { map { exists $known->{$upstream}{$_} ? ($_ => $own->{$_}) : () }
            grep { !m!/! } keys %$own };
    }
    return \%left;
}
