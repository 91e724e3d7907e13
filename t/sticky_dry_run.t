#!/usr/bin/perl

# Tests for dry_run, which says what a directive would do: without them a dry run may steer requests
# or set cookies on a site that was only to be looked at, or say of requests what would not come
# true.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

use JSON::PP qw/ decode_json /;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite map/);

my %upstream = (
    u       => 'sticky mode=query dry_run;',
    real    => 'sticky mode=query share=one zone=one:1m;',
    dry     => 'sticky mode=query share=one zone=one:1m dry_run;',
    refused => 'sticky mode=query dry_run no_fallback;',
    made    => 'sticky mode=query from=header:X-Id learn=request dry_run;',
    cookie  => 'sticky text=raw dry_run;',
    rewrite => 'sticky mode=rewrite text=raw dry_run;',
    learn   => 'sticky learn create=$upstream_http_link lookup=$arg_sid zone=learn:1m dry_run;',
    named   => 'sticky cookie srv dry_run;',
    route   => 'sticky route $arg_route dry_run;',
);

my $blocks = join '', map {
    my $name = $_;
    # One that is not sticky at all answers in the same turn.
    "upstream $name {\n$upstream{$name}\n"
        . join('', map { "server 127.0.0.1:808$_ max_fails=0 route=s$_;\n" } 1 .. 3) . "}\n"
} sort keys %upstream;
my $locations = join '', map { "location /$_/ {\nproxy_pass http://$_/;\n}\n" } sort keys %upstream;

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    proxy_http_version 1.0;
    log_format  tries  '\$request_uri \$sticky_status \$upstream_sticky_status \$sticky_learned';

    include backends.conf;

    $blocks
    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        access_log   %%TESTDIR%%/tries.log  tries;
        add_header   X-Status  \$sticky_status  always;
        add_header   X-Tries   \$upstream_sticky_status  always;

        proxy_next_upstream error http_500;

        $locations
        location = /page { sticky_status; access_log off; }
        location = /page/json { sticky_status; access_log off; }
        location /status { sticky_status; access_log off; }
    }
}

EOC

$t->try_run('no module')->plan(45);

# Nothing is steered: round robin goes on, whatever the request brings.

my $reply = get('/u/', 'X-Page' => link_to('one1'));
my $home = served_by($reply);
my @replies = map { get('/u/?sid=one1') } 1 .. 6;
is(letters(map { served_by($_) } @replies), 'ABC', 'its requests go to all servers in turn');
is(letters(map { status($_) } @replies), 'HIT', 'and would have gone to one');
for my $reply (@replies) {
    my $expected = served_by($reply) eq $home ? 'HIT' : 'MISS';
    is(header('X-Tries', $reply), $expected, "what really became of the attempt at " . served_by($reply));
}
is(status(get('/u/')), 'NONE', 'without an id');
is(status(get('/u/?sid=unknown1')), 'MISS', 'an unknown id');

# The session stays where it is although others answer, and hand out its id.

$home = served_by(get('/dry/', 'X-Page' => link_to('two2')));
get('/dry/?sid=two2', 'X-Page' => link_to('two2')) for 1 .. 6;
is(where('/real/?sid=two2'), $home x 6, 'the session is where it began');

# A server that fails loses it, as it would have.

$t->write_file("failed_$home", '');
$reply = (grep { served_by($_) ne $home && header('X-Tries', $_) =~ /HIT/ }
    map { get('/dry/?sid=two2') } 1 .. 9)[0];
is(status($reply), 'GONE', 'a request that came to the failing server by chance');
unlink $t->testdir() . "/failed_$home";
my $moved = where('/real/?sid=two2');
is(length $moved =~ s/(.)\g1*/$1/r, 1, 'the session has moved to one server');
isnt(substr($moved, 0, 1), $home, 'to another one');

# no_fallback refuses nothing.

$home = served_by(get('/refused/', 'X-Page' => link_to('three3')));
$t->write_file("failed_$home", '');
my @codes = map { code(get('/refused/?sid=three3')) } 1 .. 6;
is(join(' ', @codes), join(' ', (200) x 6), 'no_fallback does not refuse');
unlink $t->testdir() . "/failed_$home";

# learn=request: the first request begins a session.

$reply = get('/made/', 'X-Id' => 'made-by-client-1');
is(status($reply), 'MISS', 'the first request');
@replies = map { get('/made/', 'X-Id' => 'made-by-client-1') } 1 .. 6;
is(letters(map { status($_) } @replies), 'HIT', 'the next would have gone to its server');
is(letters(map { served_by($_) } @replies), 'ABC', 'and go to all');
my @there = grep { header('X-Tries', $_) eq 'HIT' } @replies;
is(letters(map { served_by($_) } @there), served_by($reply), 'which is the one of the first');

# mode=cookie sets none, and leaves that of the application.

$reply = get('/cookie/');
is(header('Set-Cookie', $reply), '', 'no cookie is set');
is(status($reply), 'NEW', 'one would have been');
$reply = get('/cookie/', 'X-Set-Cookie' => 'route=own');
is(header('Set-Cookie', $reply), 'route=own', 'that of the application stays');
my $server = '127.0.0.1:' . port(8081);
@replies = map { get('/cookie/', Cookie => "route=$server") } 1 .. 6;
is(letters(map { status($_) } @replies), 'HIT', 'the cookie of a request counts');
is(letters(map { served_by($_) } @replies), 'ABC', 'and steers nothing');
is(status(get('/cookie/', Cookie => 'route=nobody')), 'MISS', 'a cookie that names no server');

# mode=rewrite changes no page and no redirect.

my $page = '<a href="/next">next</a>';
$reply = get('/rewrite/', 'X-Page' => $page);
like($reply, qr/\Q$page\E/, 'the page is as it was');
is(status($reply), 'NEW', 'it would have been rewritten');
like(get('/rewrite/302', 'X-Location' => '/there'), qr!^Location: (?:http://[^/]+)?(?:/rewrite)?/there\x0d?$!m,
    'a redirect is as it was');
@replies = map { get("/rewrite/?route=$server") } 1 .. 6;
is(letters(map { status($_) } @replies), 'HIT', 'the parameter of a request counts');
is(letters(map { served_by($_) } @replies), 'ABC', 'and steers nothing');

# nginx's own forms.

$reply = get('/learn/', 'X-Link' => 'learned-1');
$home = served_by($reply);
@replies = map { get('/learn/?sid=learned-1', 'X-Link' => 'learned-1') } 1 .. 6;
is(letters(map { status($_) } @replies), 'HIT', 'requests of the session');
is(letters(map { served_by($_) } @replies), 'ABC', 'go to all servers');
$reply = get('/named/');
is(header('Set-Cookie', $reply), '', 'sticky cookie sets none');
is(status($reply), 'NEW', 'and would have');
@replies = map { get('/route/?route=s2') } 1 .. 6;
is(letters(map { status($_) } @replies), 'HIT', 'sticky route');
is(letters(map { served_by($_) } @replies), 'ABC', 'steers nothing');
is(status(get('/route/?route=s9')), 'MISS', 'a route that is none');

# What operators see.

my $json = body(get('/status/json'));
my %shown = map { $_->{name} => $_ } @{ decode_json($json)->{upstreams} };
is_deeply([map { $shown{$_}{dry_run} ? 'dry' : 'real' } qw/ u real cookie learn route /],
    [qw/ dry real dry dry dry /], 'JSON says which are dry runs');
is($shown{u}{requests}{HIT}, 6, 'requests are counted');
cmp_ok($shown{u}{learned}{html}, '>=', 1, 'and so is what was learned');
like($shown{u}{verdict}{text}, qr/would have gone/, 'the verdict is one of a dry run');
like(get('/status'), qr/dry run: nothing is steered or sent/, 'so does the page');

$t->stop();
my $log = $t->read_file('tries.log');
like($log, qr!^/u/ NEW NEW html:1$!m, 'an id was learned from a page');
like($log, qr!^/learn/ NEW NEW create:1$!m, 'and by sticky learn');
unlike($t->read_file('error.log'), qr/\[alert\]|panicked/, 'no panic');

sub letters {
    my %seen = map { $_ => 1 } @_;
    return join '', sort keys %seen;
}

sub body { return (split /\x0d\x0a\x0d\x0a/, $_[0], 2)[1] // '' }
