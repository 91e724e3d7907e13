#!/usr/bin/perl

# Tests for nginx's own upstream directives while the module is loaded, which looks at some of them
# first; without passing them on untouched, a configuration that nginx takes would be refused, or a
# wrong one taken.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Configuration qw/ prepare verdict verdict_on_upstream /;

my @balancers = (
    'least_conn;', 'hash $arg_a;', 'hash $arg_a consistent;', 'ip_hash;', 'random;',
    'random two;', 'random two least_conn;',
);

my $t = prepare(Test::Nginx->new()->has(qw/
    http proxy upstream_hash upstream_ip_hash upstream_keepalive upstream_least_conn
    upstream_random upstream_zone
/)->plan(2 * 10 + 4 * @balancers + 13));

# From nginx 1.29.7 on keepalive has a second parameter, and 0 turns it off.
my ($two_words, $zero) = $t->has_version('1.29.7')
    ? ('invalid parameter "2"', undef)
    : ('invalid number of arguments in "keepalive" directive',
        'invalid value "0" in "keepalive" directive');

sub emerg { return "nginx: [emerg] $_[0]\n" }

# The same refusals in an upstream that is sticky and in one that is not.

for my $sticky ([], ['sticky;']) {
    my $with = @$sticky ? ' in a sticky upstream' : '';
    my $line = 2 + @$sticky;
    my $check = sub {
        my ($directive, $message) = @_;
        is(verdict_on_upstream($t, @$sticky, $directive),
            defined $message ? emerg("$message in case.conf:$line") : '', "$directive$with");
    };

    $check->('keepalive;', 'invalid number of arguments in "keepalive" directive');
    $check->('keepalive 1 2;', $two_words);
    $check->('keepalive 0;', $zero);
    $check->('keepalive many;', 'invalid value "many" in "keepalive" directive');
    $check->('keepalive -1;', 'invalid value "-1" in "keepalive" directive');
    $check->('keepalive_requests;', 'invalid number of arguments in "keepalive_requests" directive');
    $check->('least_conn 1;', 'invalid number of arguments in "least_conn" directive');
    $check->('hash;', 'invalid number of arguments in "hash" directive');
    $check->('hash $arg_a consistently;', 'invalid parameter "consistently"');
    $check->('zone;', 'invalid number of arguments in "zone" directive');
}

# keepalive

is(verdict_on_upstream($t, 'keepalive 1;', 'keepalive 2;'),
    emerg('"keepalive" directive is duplicate in case.conf:3'), 'keepalive twice');
is(verdict_on_upstream($t, 'sticky;', 'keepalive 1;', 'keepalive 2;'),
    emerg('"keepalive" directive is duplicate in case.conf:4'),
    'keepalive twice in a sticky upstream');
is(verdict($t, "keepalive 1;\n"), emerg('"keepalive" directive is not allowed here in case.conf:1'),
    'keepalive in http');
is(verdict($t, "server {\n    keepalive 1;\n}\n"),
    emerg('"keepalive" directive is not allowed here in case.conf:2'), 'keepalive in server');
is(verdict_on_upstream($t, 'keepalive 1 {', '}'),
    emerg('directive "keepalive" is not terminated by ";" in case.conf:2'),
    'keepalive with a block');
is(verdict_on_upstream($t, 'keepalive 1;'), '', 'keepalive');
is(verdict_on_upstream($t, 'keepalive 1;', 'keepalive_requests 5;', 'keepalive_timeout 1s;',
    'keepalive_time 1h;'), '', 'keepalive and its likes');
is(verdict_on_upstream($t, 'keepalive 1;', 'sticky;'), '', 'keepalive before sticky');
is(verdict_on_upstream($t, 'sticky;', 'keepalive 1;'), '', 'keepalive after sticky');
is(verdict_on_upstream($t, 'zone z 64k;', 'sticky;', 'keepalive 1;'), '',
    'zone, sticky and keepalive');

# Balancers before and after, alone and below keepalive: taken without a word.

for my $balancer (@balancers) {
    is(verdict_on_upstream($t, $balancer), '', "$balancer");
    is(verdict_on_upstream($t, $balancer, 'sticky;'), '', "$balancer sticky;");
    is(verdict_on_upstream($t, 'sticky;', $balancer), '', "sticky; $balancer");
    is(verdict_on_upstream($t, 'sticky;', $balancer, 'keepalive 1;'), '',
        "sticky; $balancer keepalive 1;");
}

# nginx's own warnings stay, and nothing is added to them.

for my $lines (['least_conn;', 'ip_hash;'], ['keepalive 1;', 'least_conn;'],
    ['keepalive 1;', 'sticky;', 'least_conn;'])
{
    my $last = 1 + @$lines;
    is(verdict_on_upstream($t, @$lines),
        "nginx: [warn] load balancing method redefined in case.conf:$last\n",
        "warned as ever: @$lines");
}
