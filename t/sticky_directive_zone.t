#!/usr/bin/perl

# Tests for the zones that the directive makes; without these checks, two upstreams could overwrite
# each other's table, or a zone get a size that nobody asked for.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Configuration qw/ prepare verdict /;

my $t = prepare(Test::Nginx->new()->has(qw/ http upstream_zone limit_req /)->plan(12));

# Each word list is the directive of an upstream of its own: lines 2, 6, 10 of case.conf.
sub upstreams {
    my $n = 0;
    return join '', map { $n++; "upstream u$n {\n    sticky $_;\n    server 127.0.0.1:9;\n}\n" } @_;
}

sub emerg { return "nginx: [emerg] $_[0]\n" }

is(verdict($t, upstreams(('mode=query zone=s:64k') x 2)), '',
    'one zone for two upstreams, same size');
is(verdict($t, upstreams('mode=query zone=s:64k', 'mode=query zone=s')), '',
    'the first names the size');
is(verdict($t, upstreams('mode=query zone=s', 'mode=query zone=s:64k')), '',
    'the second names the size');
is(verdict($t, upstreams(('mode=query zone=s') x 2)), '', 'nobody names the size');
is(verdict($t, upstreams('mode=query zone=s:64k', 'mode=query zone=s:128k')),
    emerg('the size 131072 of shared memory zone "s" conflicts with already declared size 65536'
        . ' in case.conf:6'), 'conflicting sizes');
is(verdict($t, upstreams('mode=query zone=s:64k', 'mode=query zone=s', 'mode=query zone=s:1m')),
    emerg('the size 1048576 of shared memory zone "s" conflicts with already declared size 65536'
        . ' in case.conf:10'), 'conflicting sizes, three upstreams');
is(verdict($t, upstreams('mode=query zone=s:64k', 'mode=query zone=t:8k')),
    emerg('zone "t:8k" is too small in "sticky" directive, expected at least 32k in case.conf:6'),
    'too small');

is(verdict($t, "limit_req_zone \$uri zone=s:64k rate=1r/s;\n" . upstreams('mode=query zone=s:64k')),
    emerg('the shared memory zone "s" is already declared for a different use in case.conf:3'),
    q{another module's zone});
is(verdict($t, <<'EOC'), emerg(<<'MESSAGE' =~ s/\n//r), q{the zone of an upstream's peers});
upstream u {
    zone s 64k;
    sticky mode=query zone=s:64k;
    server 127.0.0.1:9;
}
EOC
the shared memory zone "s" is already declared for a different use in case.conf:3
MESSAGE
is(verdict($t, <<'EOC'), '', q{a zone of the upstream's name for its peers, and one for sessions});
upstream u {
    zone u 64k;
    sticky mode=query;
    server 127.0.0.1:9;
}
EOC
is(verdict($t, upstreams(('mode=query zone=off') x 2)), '', 'zone=off twice is two tables');
is(verdict($t, upstreams(('mode=query') x 3)), '', 'without zone=, a zone for each');
