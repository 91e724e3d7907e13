#!/usr/bin/perl

# Tests for where the directives may stand, and how often; without these checks, a directive in the
# wrong place or a second one would be silently ignored.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Configuration qw/ prepare verdict verdict_on_upstream /;

my $t = prepare(Test::Nginx->new()->has(qw/ http rewrite /)->plan(25));

sub emerg { return "nginx: [emerg] $_[0]\n" }

# sticky

my $outside = '"sticky" directive is not allowed here, expected inside of an "upstream" block';

is(verdict($t, "sticky;\n"), emerg("$outside in case.conf:1"),
    'sticky in http');
is(verdict($t, "server {\n    sticky;\n}\n"),
    emerg("$outside in case.conf:2"), 'sticky in server');
is(verdict($t, "server {\n    location / {\n        sticky mode=query;\n    }\n}\n"),
    emerg("$outside in case.conf:3"), 'sticky in location');
is(verdict_on_upstream($t, 'sticky {', '}'),
    emerg('directive "sticky" is not terminated by ";" in case.conf:2'), 'sticky with a block');

for my $second ('sticky;', 'sticky name=other;', 'sticky mode=query;') {
    is(verdict_on_upstream($t, 'sticky;', $second),
        emerg('"sticky" directive is duplicate in case.conf:3'), "twice: sticky; $second");
}
is(verdict_on_upstream($t, 'sticky mode=query;', 'sticky;'),
    emerg('"sticky" directive is duplicate in case.conf:3'), 'twice: mode=query first');
is(verdict($t, join '', map { "upstream u$_ {\n    sticky;\n    server 127.0.0.1:9;\n}\n" } 1, 2),
    '', 'once in each of two upstreams');
is(verdict($t, "upstream u {\n    server 127.0.0.1:9;\n    sticky;\n}\n"), '',
    'behind the servers');

# sticky_no_fallback and sticky_hide_cookie

for my $flag (qw/ sticky_no_fallback sticky_hide_cookie /) {
    is(verdict($t, <<"EOC"), '', "$flag in http, server and location");
$flag;
server {
    $flag;
    location / {
        $flag;
        location /deeper {
            $flag;
        }
    }
}
EOC
    is(verdict($t, "$flag;\n$flag;\n"), emerg(qq{"$flag" directive is duplicate in case.conf:2}),
        "$flag twice in http");
    is(verdict($t, "server {\n    $flag;\n    $flag;\n}\n"),
        emerg(qq{"$flag" directive is duplicate in case.conf:3}), "$flag twice in server");
    is(verdict($t, "server {\n    location / {\n        $flag;\n        $flag;\n    }\n}\n"),
        emerg(qq{"$flag" directive is duplicate in case.conf:4}), "$flag twice in location");
    is(verdict_on_upstream($t, "$flag;"),
        emerg(qq{"$flag" directive is not allowed here in case.conf:2}), "$flag in upstream");
    is(verdict($t, "server {\n    $flag on;\n}\n"),
        emerg(qq{invalid number of arguments in "$flag" directive in case.conf:2}),
        "$flag with an argument");
    is(verdict($t, "server {\n    location / {\n        if (\$arg_a) {\n            $flag;\n"
        . "        }\n    }\n}\n"),
        emerg(qq{"$flag" directive is not allowed here in case.conf:4}), "$flag in if");
}

is(verdict($t, "add_header X-Status \$sticky_status;\nadd_header X-Peer \$sticky_peer;\n"), '',
    'variables known without any sticky upstream');
