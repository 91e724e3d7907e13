#!/usr/bin/perl

# Tests for the words of the directive in mode query; without these checks, a misspelt parameter
# would silently learn nothing, or keep sessions for another time than asked for.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Configuration qw/ prepare verdict_on_upstream /;

my $eight = join ' ', map { "name=n$_" } 1 .. 8;

my @accepted = map { "sticky mode=query $_;" } (
    'name=sid',
    'name=sid name=SID name=PHPSESSID',
    $eight,
    'name=a-b_c.d~e!f*g@h:i',
    'from=query',
    'from=form',
    'from=query,form',
    'from=form,query',
    'from=path,cookie,header:X-Session-Id,query,form',
    'from=path name=(S)',
    'from=segment:/session/',
    'from=segment:/v1/statement/*/,segment:/x/,query learn=json',
    'from=path,query name=(S) name=sid',
    'name=(S)',
    'learn=html',
    'learn=forms',
    'learn=location',
    'learn=html,location',
    'learn=location,forms',
    'learn=html,location,cookie,cookie:PHPSESSID,header:Mcp-Session-Id,json,sse,text',
    'learn=json:connectionToken name=id',
    'learn=json:data.session.id,json:token',
    'learn=off',
    'id_delimiter=.',
    'id_delimiter=!',
    'expires=1s',
    'expires=366d',
    'expires=1h30m',
    'lifetime=8h',
    'lifetime=10s',
    'expires=1h lifetime=1h',
    'zone=sessions',
    'zone=sessions:32k',
    'zone=sessions:1m',
    'zone=off',
    'hosts=www.example.com',
    'hosts=.example.com,*.example.org hosts=127.0.0.1,[::1]',
    'on_failure=move',
    'on_failure=keep no_fallback',
    'no_fallback',
    'no_fallback hosts=a zone=z:1M lifetime=1d expires=1h learn=forms,location from=form name=sid',
);
unshift @accepted, 'sticky mode=query;', 'sticky name=sid mode=query;';

my $all = 'expected "mode=cookie|query|rewrite|discover", "name=NAME", "from=cookie,path,query,form", "learn=html,location,cookie",'
    . ' "forget=$VARIABLE", "types=SOURCE:TYPE", "id_delimiter=CHARACTER", "expires=TIME", "lifetime=TIME", "zone=NAME[:SIZE]|off", "state=FILE", "share=NAME", "cluster=off", "hosts=HOST",'
    . ' "on_failure=move|keep", "balance_factor=PERCENT",'
    . ' "max_sessions=NUMBER", "dry_run", "no_fallback"';

my $in = 'in "sticky" directive';
my $name = 'expected 1 to 64 of the characters A-Z a-z 0-9 - _ . ~ ! $ * @ :,'
    . ' or a letter in parentheses';
my $time = 'expected a time of 1 second to 366 days, as in "1h30m"';
my $host = 'expected "a.example", ".example.com" or "*.example.com", divided by commas,'
    . ' without scheme and port';
my $zone = 'expected "zone=off", or "zone=NAME" or "zone=NAME:SIZE" as in "shop:1m"';
my $zone_size = 'expected "zone=NAME:SIZE" as in "zone=shop:1m"';
my $learn = 'expected "off", or a list of "html", "forms", "json", "sse", "text", "xml", "script", "json:NAME",'
    . ' "xml:NAME", "location", "cookie", "cookie:NAME", "header:NAME", "header:NAME:PARAMETER", "$VARIABLE"'
    . ' and "request", divided by commas';
my $from = 'expected a list of "query", "form", "path", "cookie", "segment:PREFIX", "json", "json:NAME", "xml",'
    . ' "xml:NAME", "bearer", "header:NAME", "header:NAME:PARAMETER" and "$VARIABLE", divided by commas';
my $prefix = 'expected the path before the id, from "/" to "/", as in "segment:/session/" or'
    . ' "segment:/v1/statement/*/", with "*" for a whole segment and without "?" and "#", of at most'
    . ' 256 bytes';
my $delimiter = 'expected one character, as in "id_delimiter=.", that is no letter or digit';
my $html_and_forms = '"html" reads the forms too, "forms" nothing else, expected one of them';

sub wrong {
    my ($parameter, $value, $expected) = @_;
    return ["$parameter=$value"
        => qq{invalid value "$value" of parameter "$parameter" $in, $expected}];
}

my @refused = (

    # unknown words, and those of the wrong shape
    ['colour=red' => qq{invalid parameter "colour=red" $in, $all}],
    ['expire=1h' => qq{invalid parameter "expire=1h" $in, did you mean "expires=TIME"?}],
    ['host=a' => qq{invalid parameter "host=a" $in, did you mean "hosts=HOST"?}],
    ['name' => qq{invalid parameter "name" $in, expected "name=NAME"}],
    ['zone' => qq{invalid parameter "zone" $in, expected "zone=NAME[:SIZE]|off"}],
    ['no_fallback=1' => qq{invalid value "1" of parameter "no_fallback" $in, expected "502", as}
        . ' without a value, or "503"'],

    # nothing behind the =
    ['name=' => qq{no value for "name" $in, expected "name=NAME"}],
    ['from=' => qq{no value for "from" $in, expected "from=cookie,path,query,form"}],
    ['id_delimiter=' => qq{no value for "id_delimiter" $in, expected "id_delimiter=CHARACTER"}],
    ['learn=' => qq{no value for "learn" $in, expected "learn=html,location,cookie"}],
    ['expires=' => qq{no value for "expires" $in, expected "expires=TIME"}],
    ['lifetime=' => qq{no value for "lifetime" $in, expected "lifetime=TIME"}],
    ['zone=' => qq{no value for "zone" $in, expected "zone=NAME[:SIZE]|off"}],
    ['on_failure=' => qq{no value for "on_failure" $in, expected "on_failure=move|keep"}],
    ['hosts=' => qq{no value for "hosts" $in, expected "hosts=HOST"}],

    # wrong values
    wrong('on_failure', 'stay', 'expected "move" or "keep"'),
    wrong('name', 'a+b', $name),
    wrong('name', 'a=b', $name),
    wrong('name', 'a%20b', $name),
    wrong('name', 'n' x 65, $name),
    ["$eight name=n9" =>
        qq{invalid value "n9" of parameter "name" $in, expected no more than 8 names}],
    wrong('forget', 'signed_out', 'expected a variable, as in "forget=$signed_out"'),
    ['forget=' => qq{no value for "forget" $in, expected "forget=\$VARIABLE"}],
    wrong('from', 'url', $from),
    ['from=query,' => qq{invalid value "" of parameter "from" $in, $from}],
    wrong('from', 'header', $from),
    wrong('from', 'header:', $from),
    wrong('from', 'cookie:sid', $from),
    wrong('learn', 'links', $learn),
    wrong('learn', 'html,off', 'expected "off" to stand alone'),
    wrong('learn', 'off,html', 'expected "off" to stand alone'),
    wrong('learn', 'header', $learn),
    wrong('learn', 'cookie:', $learn),
    wrong('learn', 'json:a..b', $learn),
    wrong('learn', 'text:sid', $learn),
    wrong('id_delimiter', 'a', $delimiter),
    wrong('id_delimiter', '..', $delimiter),
    ['name=(S) from=query' => qq{invalid value "(S)" of parameter "name" $in,}
        . ' expected "from=path" beside a letter in parentheses'],
    (map { wrong('from', "segment:$_", $prefix) } '', 'a/', '/a', '/a?b/', '/a*/'),
    ['name=(S) from=path,query' => qq{invalid value "query" of parameter "from" $in,}
        . ' expected a name without parentheses to look for there'],
    wrong('expires', '0', $time),
    wrong('expires', '367d', $time),
    wrong('expires', '100ms', $time),
    wrong('lifetime', 'forever', $time),
    wrong('lifetime', '0', $time),
    ['expires=2h lifetime=1h' => qq{invalid value "1h" of parameter "lifetime" $in,}
        . ' expected a time that is not below "expires"'],
    wrong('hosts', 'http://example.com', $host),
    wrong('hosts', 'example.com:8080', $host),
    wrong('hosts', 'a..b', $host),
    ['hosts=a,' => qq{invalid value "" of parameter "hosts" $in, $host}],
    ['zone=:1m' => qq{invalid value ":1m" of parameter "zone" $in, $zone}],
    ['zone=off:1m' => qq{invalid value "off:1m" of parameter "zone" $in, $zone}],
    ['zone=s:' => qq{invalid zone size "zone=s:" $in, $zone_size}],
    ['zone=s:1g' => qq{invalid zone size "zone=s:1g" $in, $zone_size}],
    ['zone=s:-1m' => qq{invalid zone size "zone=s:-1m" $in, $zone_size}],
    ['zone=s:31k' => qq{zone "s:31k" is too small $in, expected at least 32k}],
    ['zone=s:0' => qq{zone "s:0" is too small $in, expected at least 32k}],

    # repeated
    (map {
        my ($parameter) = /^(\w+)/;
        ["$_ $_" => qq{"sticky" directive parameter "$parameter" is duplicate}];
    } qw{ from=query learn=html expires=1h lifetime=1h zone=off no_fallback id_delimiter=. }),
    ['zone=a zone=b' => '"sticky" directive parameter "zone" is duplicate'],
    ['name=sid name=sid' => qq{duplicate value "sid" of parameter "name" $in}],
    ['from=query,query' => qq{duplicate value "query" of parameter "from" $in}],
    ['from=header:X,header:x' => qq{duplicate value "header:x" of parameter "from" $in}],
    ['learn=html,html' => qq{duplicate value "html" of parameter "learn" $in}],
    ['learn=location,location' => qq{duplicate value "location" of parameter "learn" $in}],
    ['hosts=a.example,A.example' => qq{duplicate value "A.example" of parameter "hosts" $in}],

    # contradictions
    ['learn=html,forms' => qq{"learn=html" together with "learn=forms" $in: $html_and_forms}],
    ['learn=off hosts=a' => qq{"hosts" together with "learn=off" $in: no links are read}],
    ['learn=json,cookie hosts=a' => qq{"hosts" together with "learn" $in: no links are read}],
    ['from=header:X learn=header:X name=a' => qq{"name" without "from=query" $in:}
        . ' nothing of that name is looked for'],

    # parameters of the other mode
    (map {
        my ($parameter) = /^(\w+)/;
        [$_ => qq{parameter "$parameter" $in belongs to "mode=cookie", but the mode is "query"}];
    } qw{
        hash=md5 hmac=md5 hmac_key=k hmac_key_file=f text=raw domain=a path=/ secure httponly samesite=lax
        partitioned transfer delimiter=. hide_cookie
    }),
);

my $t = prepare(Test::Nginx->new()->has(qw/ http /)->plan(@accepted + @refused + 1));

is(verdict_on_upstream($t, $_), '', "accepted: $_") for @accepted;

for my $case (@refused) {
    my ($words, $message) = @$case;
    is(verdict_on_upstream($t, "sticky mode=query $words;"),
        "nginx: [emerg] $message in case.conf:2\n", "refused: $words");
}

is(verdict_on_upstream($t, 'sticky mode=cookie mode=query;'),
    qq{nginx: [emerg] "sticky" directive parameter "mode" is duplicate in case.conf:2\n},
    'refused: two modes');
