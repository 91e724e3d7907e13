#!/usr/bin/perl

# Tests for what mode=discover must not do: steer, show the names of a few clients, or anything odd
# that one has sent, watch for longer than it should, or forget what it has seen at a reload.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Shapes;
use Sticky::Upstreams qw/ configure /;

my $t = Test::Nginx->new()->has(qw/http proxy/);

# With that line in each of three upstreams.
my $watch = sub {
    my ($line, $of_http) = @_;
    configure($t, { map { $_ => $line } qw/ u few odd / }, servers => 2, of_http => $of_http // '',
        of_server => 'add_header X-Status $sticky_status always;');
};

$t->run_daemon(\&server, port(8081 + $_), (qw/ A B /)[$_]) for 0 .. 1;
$t->waitforsocket('127.0.0.1:' . port(8081 + $_)) for 0 .. 1;
$watch->('sticky mode=discover for=10m;');
$t->try_run('no module')->plan(13);

is(status(get('/u/link/a?sid=abc123def456')), 'NONE', 'a request has no session');

# Too few clients: no name is shown.

walk('cookie', base => '/few', visitors => 12);
my $found = discovered('few');
is_deeply($found->{candidates}, [], 'nothing is shown of twelve clients');
like($found->{why}, qr/too few clients/, 'and why');
unlike(get('/status'), qr/PHPSESSID/, 'no name on the page');

# What a client has sent alone is no candidate, however often.

walk('cookie', base => '/odd');
for my $number (1 .. 300) {
    my $odd = sprintf '%s%06x', ('%3Cscript%3E', 'a"b', "\xc3\xa4", 'evil')[$number % 4], $number;
    get("/odd/x?$odd=v$number" . ('0aZ' x 8) . "&evil=attack00$number", "X-$number" => "k2x9q1zz$number",
        Cookie => "c$number=k2x9q1zz$number; PHPSESSID=attack00$number");
}
$found = discovered('odd');
is($found->{candidates}[0]{directive}, 'sticky mode=query name=PHPSESSID from=cookie learn=cookie;',
    'the line is the same in a flood of odd names');
unlike(get('/status'), qr/evil|script&gt;|attack/, 'which the page does not show');

# Bodies that are broken, or larger than what is kept, do no harm.

for my $body ('{"a":' x 5000, '[' x 20_000, '"' x 9999, "\0" x 100_000, '{"clientId":"' . ('x1' x 70_000) . '"}') {
    my $reply = send_request('POST', '/odd/json/', 'Content-Type' => 'application/json',
        'Content-Length' => length $body, { body => $body });
    is(code($reply), 200, 'a body of ' . length $body) if $body =~ /^\{"clientId/;
}

# A reload that changes nothing goes on.

my $requests = discovered('odd')->{requests};
cmp_ok($requests, '>', 300, 'requests are counted');
$watch->('sticky mode=discover for=10m;', 'server_tokens off;');
$t->reload();
ok(eventually(sub { (() = $t->read_file('error.log') =~ /exited with code 0/g) >= 2 }), 'reloaded');
is(discovered('odd')->{requests}, $requests, 'the same configuration goes on');

# Another time begins anew.

$watch->('sticky mode=discover for=20m;');
$t->reload();
ok(eventually(sub { (() = $t->read_file('error.log') =~ /exited with code 0/g) >= 4 }), 'reloaded again');
$found = discovered('odd');
is($found->{requests}, 0, 'another time begins anew');
is($found->{until} - $found->{begun}, 1200, 'and lasts so long');
