#!/usr/bin/perl

# Tests for the words of sticky_status and its place; without them a name with a typing error would
# show nothing, and nobody would know why.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Configuration qw/ prepare verdict /;

my $t = prepare(Test::Nginx->new()->has(qw/ http rewrite proxy /)->plan(37));

sub emerg { return "nginx: [emerg] $_[0]\n" }

my $upstreams = join '', map { "upstream $_ { sticky; server 127.0.0.1:9; }\n" } qw/ shop api /;
my $in = 'in "sticky_status" directive';

# The directive in a location, in line 4 of the text behind two upstreams; what is behind it.
sub in_location {
    my ($directive, $behind) = @_;
    return verdict($t, $upstreams . "server {\nlocation /s {\n$directive\n}\n}\n" . ($behind // ''));
}

is(in_location('sticky_status;'), '', 'alone');
is(in_location('sticky_status upstream=shop;'), '', 'one upstream');
is(in_location('sticky_status upstream=api upstream=shop;'), '', 'two');
is(in_location('sticky_status upstream=late;', "upstream late { sticky; server 127.0.0.1:9; }\n"),
    '', 'one that stands behind it');
is(verdict($t, "server {\nlocation /s {\nsticky_status;\n}\n}\n"), '', 'without any sticky upstream');

is(in_location("sticky_status $_;"), '', $_) for 'rw', 'rw=$remote_user', 'upstream=api rw';

my $expected = '"rw", "rw=$VARIABLE" or "upstream=NAME"';
for my $word ('shop', 'upstreams=shop', 'rwx', 'r', '') {
    is(in_location(qq{sticky_status "$word";}),
        emerg(qq{invalid parameter "$word" $in, expected $expected in case.conf:5}),
        qq{refused: "$word"});
}
for my $value ('', 'on', '1', '$remote_user$host', '${remote_user}x', 'x$host') {
    is(in_location(qq{sticky_status "rw=$value";}),
        emerg(qq{invalid value "$value" of parameter "rw" $in, expected one variable, or "rw" alone for }
            . 'clients on this machine in case.conf:5'), qq{refused: "rw=$value"});
}
is(in_location('sticky_status rw rw=$remote_user;'),
    emerg('"sticky_status" directive parameter "rw" is duplicate in case.conf:5'), 'rw twice');
like(in_location('sticky_status rw=$nothing;'), qr/unknown "nothing" variable/, 'no such variable');
for my $word ('upstream', 'upstream=') {
    is(in_location("sticky_status $word;"),
        emerg(qq{no value for "upstream" $in, expected "upstream=NAME" in case.conf:5}),
        "refused: $word");
}
is(in_location('sticky_status upstream=api upstream=api;'),
    emerg(qq{duplicate value "api" of parameter "upstream" $in in case.conf:5}), 'a name twice');
is(in_location("sticky_status;\nsticky_status;"),
    emerg('"sticky_status" directive is duplicate in case.conf:6'), 'the directive twice');

# Beside another directive that answers.

my $warns = sub { return "nginx: [warn] $_[0]\n" };
is(in_location("sticky_status;\nproxy_pass http://127.0.0.1:9;"),
    $warns->('"sticky_status" is without effect, a directive behind it ("proxy_pass" and the like) answers '
        . 'the requests of the location in case.conf:5'), 'a directive behind it answers');
is(in_location("proxy_pass http://127.0.0.1:9;\nsticky_status;"),
    $warns->('"sticky_status" answers all requests of this location, what else would answer them '
        . '("proxy_pass" and the like) is without effect in case.conf:6'), 'or one before it would');
is(in_location("sticky_status;\nif (\$arg_a) {\nset \$a 1;\n}\nlimit_except GET {\ndeny all;\n}"), '',
    'parts of a location are answered as it is');
is(in_location("sticky_status;\nlocation /s/other {\nproxy_pass http://127.0.0.1:9;\n}"), '',
    'another location is another one');
is(in_location("sticky_status;\nif (\$arg_a) {\nreturn 204;\n}"), '', 'return is no handler');

# Names of no sticky upstream.

my $none = qq{$in names no upstream with "sticky",};
is(in_location('sticky_status upstream=shpo;'),
    emerg(qq{"upstream=shpo" $none did you mean "shop"? in case.conf:5}), 'a typing error');
is(in_location('sticky_status upstream=other;'),
    emerg(qq{"upstream=other" $none expected one of "shop", "api" in case.conf:5}), 'no such name');
is(in_location('sticky_status upstream=plain;', "upstream plain { server 127.0.0.1:9; }\n"),
    emerg(qq{"upstream=plain" $none expected one of "shop", "api" in case.conf:5}),
    'one that is not sticky');
is(verdict($t, "server {\nlocation /s {\nsticky_status upstream=a;\n}\n}\n"),
    emerg(qq{"upstream=a" $none no upstream has one in case.conf:3}), 'where none is sticky');

# Other places.

my $not_here = '"sticky_status" directive is not allowed here';
is(verdict($t, "sticky_status;\n"), emerg("$not_here in case.conf:1"), 'in http');
is(verdict($t, "server {\nsticky_status;\n}\n"), emerg("$not_here in case.conf:2"), 'in server');
is(verdict($t, "upstream u {\nsticky;\nsticky_status;\nserver 127.0.0.1:9;\n}\n"),
    emerg("$not_here in case.conf:3"), 'in upstream');
