#!/usr/bin/perl

# Tests for variables in the words of the directive, and for keys in files; without these checks, a
# variable would be taken for the text of its name, and cookies be signed with "$secret".

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Configuration qw/ prepare verdict verdict_on_upstream /;

use POSIX qw/ mkfifo /;

my @accepted = (
    'sticky domain=$host;',
    'sticky domain=.$host path=/$arg_a/;',
    'sticky path=${uri};',
    'sticky name=a$b;',
    'sticky hmac=md5 hmac_key=pa$$word-1234567;',
    'sticky transfer delimiter=$;',
    'sticky mode=query zone=10m:1m;',
    'sticky mode=query from=$arg_a,${uri}-$arg_b learn=$upstream_http_x,html;',
    'sticky hmac=md5 hmac_key_file=key;',
    'sticky mode=rewrite hmac=sha256 hmac_key_file=key;',
);

sub none {
    my ($words, $parameter, $value) = @_;
    return ["sticky $words;" => qq{parameter "$parameter" in "sticky" directive takes no variables,}
        . " but its value is $value"];
}

my $size = 'expected "zone=NAME:SIZE" as in "zone=shop:1m"';
my $file = 'cannot read the key of parameter "hmac_key_file" in "sticky" directive,'
    . ' expected a file with nothing but a key,';

my @refused = (
    none('name=$arg_sid', 'name', '"$arg_sid"'),
    none('mode=query name=${arg_sid}', 'name', '"${arg_sid}"'),
    none('mode=rewrite name=$arg_sid', 'name', '"$arg_sid"'),
    none('hmac=sha256 hmac_key=$secret', 'hmac_key', 'one'),
    none('mode=query state=$host', 'state', '"$host"'),
    none('mode=query state=a/$host', 'state', '"a/$host"'),
    none('mode=query zone=$host:1m', 'zone', '"$host:1m"'),
    none('mode=query hosts=$host', 'hosts', '"$host"'),
    none('mode=query from=header:$name', 'from', '"$name"'),
    none('mode=query learn=header:X:$name', 'learn', '"$name"'),
    ['sticky mode=query from=${uri;' => 'the closing bracket in "uri" variable is missing'],
    none('hmac=md5 hmac_key_file=$host/key', 'hmac_key_file', '"$host/key"'),
    ['sticky mode=query zone=10m;' =>
        qq{"zone=10m" in "sticky" directive is a size without a name, $size}],
    ['sticky hmac=md5 hmac_key_file=none;' =>
        qq{$file "none": No such file or directory (os error 2)}],
    ['sticky hmac=md5 hmac_key_file=pipe;' => qq{$file "pipe": it is no regular file}],
    ['sticky hmac=md5 hmac_key_file=long;' => qq{$file "long": it has more than 4096 bytes}],
    ['sticky hmac=md5 hmac_key_file=empty;' =>
        'no key in the file of "hmac_key_file" in "sticky" directive'],
    # The file is not looked at before the words are in order.
    ['sticky hmac=md4 hmac_key_file=none;' => 'invalid value "md4" of parameter "hmac" in "sticky"'
        . ' directive, expected "md5", "sha1" or "sha256"'],
);

my $t = Test::Nginx->new()->has(qw/ http rewrite /)->plan(@accepted + @refused + 2);

$t->write_file('key', "a key of more than 16 bytes\n");
$t->write_file('empty', "\n");
$t->write_file('long', 'k' x 4097);
mkfifo($t->testdir() . '/pipe', 0600) or die "no pipe: $!\n";

prepare($t);

is(verdict_on_upstream($t, $_), '', "accepted: $_") for @accepted;

for my $case (@refused) {
    my ($directive, $message) = @$case;
    is(verdict_on_upstream($t, $directive), "nginx: [emerg] $message in case.conf:2\n",
        "refused: $directive");
}

is(verdict_on_upstream($t, 'sticky mode=query learn=$no_such;'),
    qq{nginx: [emerg] unknown "no_such" variable\n}, 'also in learn=');
is(verdict_on_upstream($t, 'sticky domain=$no_such;'),
    qq{nginx: [emerg] unknown "no_such" variable\n}, 'a variable that nobody defines');
