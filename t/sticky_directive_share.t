#!/usr/bin/perl

# Tests for the messages about share=; without these checks, one session could end at two times, a
# misspelt share would be one of its own, and another upstream's sessions could be in it unasked.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Configuration qw/ prepare verdict /;

my $t = prepare(Test::Nginx->new()->has(qw/ http /)->plan(21));

# Each word list is the directive of an upstream: lines 2, 6, 10 of case.conf. A list may be followed
# by its server.
sub upstreams {
    my $n = 0;
    return join '', map {
        my ($words, $server) = ref ? @$_ : ($_, '127.0.0.1:9');
        $n++;
        "upstream u$n {\n    sticky $words;\n    server $server;\n}\n"
    } @_;
}

sub emerg { return "nginx: [emerg] $_[0]\n" }
sub warning { return "nginx: [warn] $_[0]\n" }

is(verdict($t, upstreams(('mode=query share=s') x 3)), '', 'a share');
is(verdict($t, upstreams('mode=query share=s name=a from=cookie learn=cookie',
    'mode=query share=s name=b no_fallback learn=json', 'mode=query share=s expires=1h')), '',
    'what may differ');
is(verdict($t, upstreams('mode=query share=s zone=z:1m', 'mode=query share=s zone=z')), '',
    'a zone whose size is given once');
is(verdict($t, upstreams('mode=query share=s zone=z:1m', 'mode=query share=t zone=z',
    'mode=query share=s zone=z', 'mode=query share=t zone=z')), '', 'two shares in a zone');

for my $case (
    ['expires', 'expires=1h', 'expires=2h'],
    ['expires', '', 'expires=2h'],
    ['lifetime', 'lifetime=8h', ''],
    ['on_failure', 'on_failure=keep', ''],
    ['id_delimiter', 'id_delimiter=.', 'id_delimiter=~'],
    ['zone', 'zone=z:1m', ''],
) {
    my ($parameter, $one, $other) = @$case;
    my ($first, $second) = map { "mode=query share=s $_" =~ s/ $//r } $one, $other;
    is(verdict($t, upstreams('mode=query', $first, $second)),
        emerg(qq("$parameter" in upstream "u3" is not that of upstream "u2" in case.conf:6, )
            . 'expected the same in all upstreams of "share=s" in case.conf:10'),
        "$one and $other");
}

# The first of the share has the same mistake as nobody else: the third is refused.
like(verdict($t, upstreams('mode=query share=s', 'mode=query share=s', 'mode=query share=s lifetime=2h')),
    qr/"lifetime" in upstream "u3" is not that of upstream "u1" in case.conf:2,/, 'the third of three');

is(verdict($t, upstreams('mode=query share=s:1m')),
    emerg('invalid value "s:1m" of parameter "share" in "sticky" directive, expected "share=NAME" '
        . 'as in "share=shop", with "zone=NAME:SIZE" for a size in case.conf:2'), 'no size');
is(verdict($t, upstreams('mode=query share=s zone=off')),
    emerg('"share" together with "zone=off" in "sticky" directive: there is no zone to have the '
        . 'sessions in in case.conf:2'), 'not without a zone');
is(verdict($t, upstreams('share=s')),
    emerg('parameter "share" in "sticky" directive belongs to "mode=query", but the mode is '
        . '"cookie", the default in case.conf:2'), 'mode=query alone has it');

# The name of an upstream.

my $unasked = emerg('"share=u1" of upstream "u2" in case.conf:6 would have the sessions of upstream '
    . '"u1", expected "share=u1" there too, or another name in case.conf:2');
is(verdict($t, upstreams('mode=query', ('mode=query share=u1') x 2)), $unasked,
    'the name of an upstream that is not in it');
is(verdict($t, upstreams('mode=query share=s', ('mode=query share=u1') x 2, 'mode=query share=s')),
    '', 'of one in another share');
is(verdict($t, upstreams('mode=query zone=z:1m', ('mode=query share=u1') x 2)), '',
    'of one in another zone');
is(verdict($t, upstreams(('mode=query share=u1') x 2)), '', 'of one in it');

# What is hardly meant.

is(verdict($t, upstreams('mode=query share=shop', 'mode=query share=shpo')),
    warning('"share=shop" is in no other upstream, upstream "u1" in case.conf:2')
    . warning('"share=shpo" is in no other upstream, upstream "u2" in case.conf:6'), 'misspelt');
is(verdict($t, upstreams('mode=query share=s', ['mode=query share=s', '127.0.0.1:10'])),
    join('', map {
        warning('no server is also in another upstream of "share=s", expected the same addresses, '
            . qq(or the same "route=" for what is one server, upstream "u$_->[0]" in case.conf:$_->[1]))
    } [1, 2], [2, 6]), 'other ports of the same servers');
is(verdict($t, upstreams(['mode=query share=s', '127.0.0.1:9 route=a'],
    ['mode=query share=s', '127.0.0.1:10 route=a'])), '', 'with their route');
