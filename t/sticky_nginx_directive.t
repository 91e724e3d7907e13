#!/usr/bin/perl

# Tests for what is refused in nginx's own forms of the directive, in the server parameters that
# belong to them, and in Angie's directives; without these, an nginx before 1.29.6 would take, or
# refuse in other words, what later versions refuse.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Configuration qw/ prepare verdict verdict_on_upstream /;

my $learn = 'learn create=$arg_a lookup=$arg_a zone=z:1m';

# Words behind sticky, and what nginx says of them; '' for nothing.

my @sticky = (
    ['cookie', 'invalid number of arguments in "sticky" directive'],
    ['route', 'invalid number of arguments in "sticky" directive'],
    ['learn', 'invalid number of arguments in "sticky" directive'],
    ['cookie ""', '"sticky" directive empty cookie name'],
    ['cookie a b', 'unknown parameter "b"'],
    ['cookie a domain=', '"sticky" directive no value for "domain"'],
    ['cookie a domain=b domain=c', '"sticky" directive parameter "domain" is duplicate'],
    ['cookie a path=', '"sticky" directive no value for "path"'],
    ['cookie a path=/ path=/', '"sticky" directive parameter "path" is duplicate'],
    ['cookie a expires=1x', '"sticky" directive invalid "expires" parameter value'],
    ['cookie a expires=1 expires=1', '"sticky" directive parameter "expires" is duplicate'],
    ['cookie a secure secure', '"sticky" directive parameter "secure" is duplicate'],
    ['cookie a httponly httponly', '"sticky" directive parameter "httponly" is duplicate'],
    ['cookie a samesite=b', '"sticky" directive invalid "samesite" parameter value'],
    ['cookie a samesite=lax samesite=lax', '"sticky" directive parameter "samesite" is duplicate'],
    ['cookie a domain=$', 'invalid variable name'],
    ['cookie a domain=.b.example path=/ expires=max secure httponly samesite=Lax', ''],
    ['cookie a domain=$host samesite=$arg_a', ''],
    ['route a', 'invalid variable name "a"'],
    ['route $arg_a b', 'invalid variable name "b"'],
    ['route $', 'invalid variable name "$"'],
    ['route $nobody', 'unknown "nobody" variable'],
    ['route $arg_a $cookie_a', ''],
    ['learn a', 'unknown parameter "a"'],
    ['learn create=a', '"sticky" directive missing variable in the "create" parameter'],
    ['learn lookup=a', '"sticky" directive missing variable in the "lookup" parameter'],
    ['learn create=$arg_a zone=z:1m', '"sticky" directive "lookup" parameter is not specified'],
    ['learn lookup=$arg_a zone=z:1m', '"sticky" directive "create" parameter is not specified'],
    ['learn create=$arg_a lookup=$arg_a', '"sticky" directive "zone" parameter is not specified'],
    ['learn zone=z', '"sticky" directive zone size is not specified'],
    ['learn zone=:1m', '"sticky" directive zone name is not specified'],
    ['learn zone=z:1x', '"sticky" directive invalid zone size'],
    ['learn zone=z:8k', '"sticky" directive zone is too small'],
    ['learn zone=z:1m zone=z:1m', '"sticky" directive duplicate zone'],
    ['learn timeout=0', '"sticky" directive invalid timeout'],
    ['learn timeout=1M', '"sticky" directive invalid timeout'],
    ['learn timeout=1 timeout=1', '"sticky" directive duplicate timeout'],
    ["$learn timeout=1h500ms header", ''],
    ["$learn norefresh", ''],
    ["$learn norefresh more", 'unknown parameter "more"'],
);

# Words behind `server ADDRESS`.

my @server = (
    ['route=', 'route is empty'],
    ['route=0123456789abcdef0123456789abcdef0', 'route is longer than 32'],
    ['route=0123456789abcdef0123456789abcdef', ''],
    ['weight=2 drain route=a max_conns=1', ''],
    ['route=a wieght=2', 'invalid parameter "wieght=2"'],
    ['drain=1', 'invalid parameter "drain=1"'],
    ['weight=0 drain', 'invalid parameter "weight=0"'],
);

my @others = (
    ['sticky_strict on;', '"sticky_strict" has no effect in upstream "u" without "sticky"'],
    ['sticky_secret a;',
        '"sticky_secret" has no effect in upstream "u" without "sticky cookie" or "sticky route"'],
    ["sticky $learn; sticky_secret a;",
        '"sticky_secret" has no effect in upstream "u" without "sticky cookie" or "sticky route"'],
    ['sticky_strict maybe;',
        'invalid value "maybe" in "sticky_strict" directive, it must be "on" or "off"'],
    ['sticky_strict;', 'invalid number of arguments in "sticky_strict" directive'],
    ['sticky_strict on; sticky_strict on;', '"sticky_strict" directive is duplicate'],
    ['sticky_secret a; sticky_secret a;', '"sticky_secret" directive is duplicate'],
    ['sticky_secret; sticky;', 'invalid number of arguments in "sticky_secret" directive'],
    ['sticky_secret a$remote_addr; sticky route $arg_a; sticky_strict on;', ''],
    ['sticky mode=query; sticky_strict on;', ''],
    ['sticky cookie a; sticky cookie b;', '"sticky" directive is duplicate'],
    ['sticky route $arg_a; sticky;', '"sticky" directive is duplicate'],
    ['least_conn; sticky route $arg_a; keepalive 4;', ''],
    ['keepalive 4; sticky cookie a; zone u 64k;', ''],
);

my $t = prepare(Test::Nginx->new()->has(qw/ http rewrite upstream_least_conn upstream_zone /)
    ->plan(2 * @sticky + @server + @others + 3));

# The same answer, with the line of the directive, in the second line of the block.

for my $case (@sticky) {
    my ($words, $message) = @$case;
    my $verdict = verdict_on_upstream($t, "sticky $words;");
    if ($message eq '') {
        is($verdict, '', "sticky $words;");
        ok(!grep({ /sticky/ } split /\n/, $verdict), "sticky $words; without a word");
        next;
    }
    like($verdict, qr/^nginx: \[emerg\] \Q$message\E/, "refused: sticky $words;");

    # An unknown variable is found at the end of the configuration.
    like($verdict, $words =~ /nobody/ ? qr/\S/ : qr/ in case\.conf:2$/, "its line: sticky $words;");
}

for my $case (@server) {
    my ($words, $message) = @$case;
    my $expected = $message eq '' ? '' : "nginx: [emerg] $message in case.conf:3\n";
    is(verdict_on_upstream($t, 'sticky route $arg_a;', "server 127.0.0.1:8 $words;"), $expected,
        "server $words;");
}

for my $case (@others) {
    my ($lines, $message) = @$case;
    my $verdict = verdict_on_upstream($t, $lines);
    if ($message eq '') {
        is($verdict, '', $lines);
    } else {
        like($verdict, qr/^nginx: \[emerg\] \Q$message\E/, "refused: $lines");
    }
}

# One zone, one user; only the module's own text is known to the letter.

my $two = join '', map { "upstream u$_ {\n    sticky $learn;\n    server 127.0.0.1:9;\n}\n" } 1, 2;
is(verdict($t, $two),
    qq{nginx: [emerg] sticky zone "z" is already used in upstream "u1" in case.conf:6\n},
    'a zone used twice');

# A balancer that does not know drain, as far as this nginx has it.

is(verdict($t, "upstream u {\n    server 127.0.0.1:9 backup drain;\n    server 127.0.0.1:8;\n}\n"),
    '', 'drain and route= without sticky');
is(verdict($t, "server {\n    listen 127.0.0.1:1;\n    server_name route=a;\n}\n"), '',
    'server blocks are as before');
