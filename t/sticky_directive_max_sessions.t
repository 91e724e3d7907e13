#!/usr/bin/perl

# Tests for max_sessions where it is read: nginx does not know the word, so that without them it
# would refuse every such configuration, or take one in which the limit does nothing.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Configuration qw/ prepare verdict_on_upstream /;

my $t = prepare(Test::Nginx->new()->has(qw/ http proxy upstream_zone /)->plan(31));

sub emerg { return "nginx: [emerg] $_[0]\n" }

my $server = 'server 127.0.0.1:8081';
my $learn = 'sticky learn create=$upstream_http_a lookup=$arg_a zone=l:64k';

for my $sticky ('sticky mode=query;', $learn . ';', $learn . ' norefresh;', $learn . ' max_sessions=7;',
    'sticky mode=query max_sessions=7;', 'sticky mode=query share=s max_sessions=7;')
{
    my ($warning) = $sticky =~ /share/
        ? qr/^nginx: \[warn\] "share=s" is in no other upstream, .*\n$/ : qr/^$/;
    like(verdict_on_upstream($t, $sticky, "$server max_sessions=5;"), $warning, "$sticky and a limit");
}
for my $words ('max_sessions=5 weight=2 backup', 'weight=2 max_sessions=5 max_conns=3', 'drain max_sessions=5',
    'max_sessions=5 route=a down')
{
    is(verdict_on_upstream($t, 'sticky mode=query;', "$server $words;"), '', "server … $words");
}
is(verdict_on_upstream($t, "$server max_sessions=5;", 'sticky mode=query;'), '', 'before sticky');

# What is wrong with the words.

for my $value ('', 0, -1, '5k', '1.5', 'off', 4294967296, '$arg_a') {
    is(verdict_on_upstream($t, 'sticky mode=query;', "$server max_sessions=$value;"),
        emerg("invalid parameter \"max_sessions=$value\", expected a number of 1 to 4294967295 "
            . 'in case.conf:3'), "server … max_sessions=$value");
}
is(verdict_on_upstream($t, 'sticky mode=query;', "$server max_sessions=5 max_sessions=6;"),
    emerg('"max_sessions" parameter is duplicate in case.conf:3'), 'given twice');
is(verdict_on_upstream($t, 'sticky mode=query;', "$server max_sessions;"),
    emerg('invalid parameter "max_sessions" in case.conf:3'), 'no value');
is(verdict_on_upstream($t, 'sticky mode=query max_sessions=0;'),
    emerg('invalid value "0" of parameter "max_sessions" in "sticky" directive, expected a number of 1 to '
        . '4294967295, as in "max_sessions=10000" in case.conf:2'), 'sticky … max_sessions=0');
is(verdict_on_upstream($t, 'sticky mode=query max_sessions=1 max_sessions=1;'),
    emerg('"sticky" directive parameter "max_sessions" is duplicate in case.conf:2'), 'twice');
is(verdict_on_upstream($t, "$learn max_sessions=x;"),
    emerg('"sticky" directive invalid max_sessions in case.conf:2'), 'sticky learn … max_sessions=x');

# Where no sessions are counted.

my $other = 'belongs to "mode=query", but the mode is';
is(verdict_on_upstream($t, 'sticky max_sessions=5;'),
    emerg("parameter \"max_sessions\" in \"sticky\" directive $other \"cookie\", the default in case.conf:2"),
    'mode=cookie');
is(verdict_on_upstream($t, 'sticky mode=query zone=off max_sessions=5;'),
    emerg('"max_sessions" together with "zone=off" in "sticky" directive: no worker knows how many sessions '
        . 'the others have in case.conf:2'), 'zone=off');
my $nothing = 'nginx: [emerg] "max_sessions" of "server" has no effect in upstream "u", expected "sticky '
    . 'mode=query" without "zone=off", or "sticky learn" in case.conf';
for my $sticky ('sticky;', 'sticky mode=rewrite;', 'sticky mode=query zone=off;', 'sticky cookie srv;') {
    like(verdict_on_upstream($t, $sticky, "$server max_sessions=5;"), qr/^\Q$nothing\E:3 /, "$sticky and a limit");
}
like(verdict_on_upstream($t, "$server max_sessions=5;"), qr/^\Q$nothing\E:2 /,
    'an upstream that is not sticky');
