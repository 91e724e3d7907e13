#!/usr/bin/perl

# Tests for the words of sticky_statsd and its place; without them a wrong address would be found out
# when no counter comes.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Configuration qw/ prepare verdict /;

my $t = prepare(Test::Nginx->new()->has(qw/ http /)->plan(20));

sub emerg { return "nginx: [emerg] $_[0]\n" }

my $in = 'in "sticky_statsd" directive';

for my $words ('127.0.0.1', '127.0.0.1:9125', 'localhost:9125', '[::1]:9125', 'unix:/run/statsd.sock',
    '127.0.0.1 prefix=edge.nginx-1')
{
    is(verdict($t, "sticky_statsd $words;\n"), '', $words);
}
for my $address ('127.0.0.1:', '127.0.0.1:0', '127.0.0.1:99999', '::1', 'unix:statsd.sock', 'a b') {
    is(verdict($t, qq{sticky_statsd "$address";\n}),
        emerg(qq{invalid address "$address" $in, expected "HOST:PORT", "[ADDRESS]:PORT" or }
            . '"unix:/PATH" in case.conf:1'), "refused: $address");
}
like(verdict($t, "sticky_statsd no-such-host.invalid:8125;\n"),
    qr/^nginx: \[emerg\] "no-such-host\.invalid:8125" $in cannot be used: .* in case\.conf:1$/,
    'a name without an address');
like(verdict($t, 'sticky_statsd unix:/' . 'x' x 200 . ";\n"),
    qr/^nginx: \[emerg\] "unix:\/x+" $in cannot be used: .* in case\.conf:1$/, 'a path that is too long');
for my $prefix ('', 'a..b', 'a:1|c') {
    is(verdict($t, qq{sticky_statsd 127.0.0.1 "prefix=$prefix";\n}),
        emerg(qq{invalid value "$prefix" of parameter "prefix" $in, expected letters, digits, "_", "-" }
            . 'and single dots between them, 128 at most in case.conf:1'), qq{refused: prefix=$prefix});
}
is(verdict($t, "sticky_statsd 127.0.0.1 port=1;\n"),
    emerg(qq{invalid parameter "port=1" $in, expected "prefix=NAME" in case.conf:1}), 'no such parameter');
is(verdict($t, "sticky_statsd 127.0.0.1;\nsticky_statsd 127.0.0.2;\n"),
    emerg('"sticky_statsd" directive is duplicate in case.conf:2'), 'twice');
is(verdict($t, "server {\nsticky_statsd 127.0.0.1;\n}\n"),
    emerg('"sticky_statsd" directive is not allowed here in case.conf:2'), 'in server');
