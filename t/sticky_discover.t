#!/usr/bin/perl

# Tests for mode=discover: applications that hand ids out in all the usual places are walked
# through, and then once more with the line that was proposed; without them the line may be one that
# loses sessions.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Shapes;
use Sticky::Upstreams qw/ configure /;

my $t = Test::Nginx->new()->has(qw/http proxy/);
my %shapes = %{ shapes() };
my @names = sort keys %shapes;

my @letters = qw/ A B C /;
$t->run_daemon(\&server, port(8081 + $_), $letters[$_]) for 0 .. 2;
$t->waitforsocket('127.0.0.1:' . port(8081 + $_)) for 0 .. 2;
# Each in an upstream of its own.
configure($t, { map { $_ => 'sticky mode=discover;' } @names }, uri => '');
$t->try_run('no module')->plan(6 * @names + 4);

my %line;
for my $name (@names) {
    my ($astray, $all) = walk($name, rounds => 4);
    cmp_ok($astray, '>', 0, "$name: sessions break");
    my $found = discovered($name);
    my $best = $found->{candidates}[0];
    $line{$name} = $best->{directive} // '';
    is($line{$name}, $shapes{$name}{line}, "$name: the line") or diag(explain($found));
    is(defined $best->{uncertain} ? 'uncertain' : 'certain',
        $shapes{$name}{is_made} ? 'uncertain' : 'certain', "$name: whether it is certain");
    is($found->{requests}, 5 * visitors(), "$name: requests that were looked at");
    # Those of a client of its own making have no first answer.
    cmp_ok($best->{astray} // 0, '>=', $astray * 0.9, "$name: how many went astray");
}

like(get('/status'), qr/<code>sticky mode=query name=sid;<\/code>/, 'the page has the line to copy');
my $page = get('/status?upstream=made');
like($page, qr/uncertain: never handed out/, 'and says where it is uncertain');
like($page, qr/Discovery\.<\/strong> Nothing is steered/, 'that nothing is steered');

# With these lines none goes astray.

configure($t, \%line, uri => '');
$t->reload();
ok(eventually(sub { $t->read_file('error.log') =~ /exited with code 0.*exited with code 0/s }), 'reloaded');
for my $name (@names) {
    my ($astray, $all) = walk($name);
    is("$astray of $all", '0 of ' . 3 * visitors(), "$name: none goes astray with its line");
}
