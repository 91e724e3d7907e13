#!/usr/bin/perl

# Tests for the words of the directive in mode cookie; without these checks, a misspelt parameter
# would silently configure something else.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Configuration qw/ prepare verdict_on_upstream /;

my @accepted = (
    'sticky;',
    'sticky mode=cookie;',
    'sticky name=route;',
    'sticky "name=odd[name]";',
    'sticky hash=index;',
    'sticky hash=md5;',
    'sticky hash=sha1;',
    'sticky hash=sha256;',
    'sticky hmac=md5 hmac_key=1234567890123456;',
    'sticky hmac=sha1 hmac_key=1234567890123456;',
    'sticky hmac=sha256 hmac_key=1234567890123456;',
    'sticky "hmac_key=any text; it is one" hmac=sha256;',
    'sticky text=raw;',
    'sticky domain=.example.com;',
    'sticky path=/shop;',
    'sticky expires=1h;',
    'sticky "expires=1d 12h";',
    'sticky expires=90;',
    'sticky secure;',
    'sticky httponly;',
    'sticky samesite=strict;',
    'sticky samesite=$arg_a secure=$https;',
    'sticky no_fallback=503 cacheable=on;',
    'sticky samesite=lax;',
    'sticky samesite=none secure;',
    'sticky partitioned secure;',
    'sticky transfer;',
    'sticky transfer delimiter=.;',
    'sticky transfer "delimiter= ";',
    'sticky hide_cookie;',
    'sticky on_failure=move;',
    'sticky on_failure=keep;',
    'sticky no_fallback;',
    'sticky no_fallback hide_cookie delimiter=| transfer partitioned samesite=none httponly secure'
        . ' expires=1y path=/a domain=a.example hash=sha1 name=n mode=cookie;',
);

# Every parameter of the mode, as a message lists them.
my $all = 'expected "mode=cookie|query|rewrite|discover", "name=NAME", "hash=index|md5|sha1|sha256",'
    . ' "hmac=md5|sha1|sha256", "hmac_key=KEY", "hmac_key_file=FILE", "text=raw", "domain=DOMAIN",'
    . ' "path=PATH", "expires=TIME", "secure", "httponly", "samesite=strict|lax|none|$VARIABLE", "partitioned",'
    . ' "transfer", "delimiter=TEXT", "cacheable=on|off", "hide_cookie", "on_failure=move|keep",'
    . ' "dry_run", "no_fallback"';

my $in = 'in "sticky" directive';
my $header_safe = 'expected a value without spaces, control characters, ";" and ","';
my $cookie_name
    = 'expected a cookie name without spaces, control characters, ";", "," and "="';
my $one_of_three = 'expected one of "hash", "hmac" and "text"';
my $time = 'expected a time of at least 1 second, as in "1h30m"';

my @refused = (

    # unknown words, and those of the wrong shape
    ['sticky colour=red;' => qq{invalid parameter "colour=red" $in, $all}],
    ['sticky secured;' => qq{invalid parameter "secured" $in, did you mean "secure"?}],
    ['sticky nmae=route;' => qq{invalid parameter "nmae=route" $in, did you mean "name=NAME"?}],
    ['sticky no-fallback;' => qq{invalid parameter "no-fallback" $in, did you mean "no_fallback"?}],
    ['sticky "";' => qq{invalid parameter "" $in, $all}],
    ['sticky NAME=a;' => qq{invalid parameter "NAME=a" $in, $all}],
    ['sticky name;' => qq{invalid parameter "name" $in, expected "name=NAME"}],
    ['sticky hash;' => qq{invalid parameter "hash" $in, expected "hash=index|md5|sha1|sha256"}],
    ['sticky secure=;' => qq{no value for "secure" $in, expected "secure" or "secure=\$VARIABLE"}],
    ['sticky httponly=1;' => qq{invalid parameter "httponly=1" $in, expected "httponly"}],
    ['sticky partitioned=1;' => qq{invalid parameter "partitioned=1" $in, expected "partitioned"}],
    ['sticky transfer=1;' => qq{invalid parameter "transfer=1" $in, expected "transfer"}],
    ['sticky hide_cookie=1;' => qq{invalid parameter "hide_cookie=1" $in, expected "hide_cookie"}],
    ['sticky on_failure;' => qq{invalid parameter "on_failure" $in, expected "on_failure=move|keep"}],
    ['sticky on_failure=stay;' =>
        qq{invalid value "stay" of parameter "on_failure" $in, expected "move" or "keep"}],
    ['sticky no_fallback=off;' => qq{invalid value "off" of parameter "no_fallback" $in,}
        . ' expected "502", as without a value, or "503"'],
    ['sticky no_fallback=;' => qq{no value for "no_fallback" $in, expected "no_fallback" or}
        . ' "no_fallback=503"'],
    ['sticky secure=on;' => qq{invalid value "on" of parameter "secure" $in, expected no value, or a}
        . ' variable, as in "secure=$is_https"'],
    ['sticky cacheable=1;' => qq{invalid value "1" of parameter "cacheable" $in, expected "on" or}
        . ' "off"'],

    # nothing behind the =
    ['sticky mode=;' => qq{no value for "mode" $in, expected "mode=cookie", "mode=query", "mode=rewrite" or "mode=discover"}],
    ['sticky name=;' => qq{no value for "name" $in, expected "name=NAME"}],
    ['sticky hash=;' => qq{no value for "hash" $in, expected "hash=index|md5|sha1|sha256"}],
    ['sticky hmac=;' => qq{no value for "hmac" $in, expected "hmac=md5|sha1|sha256"}],
    ['sticky hmac=md5 hmac_key=;' => qq{no value for "hmac_key" $in, expected "hmac_key=KEY"}],
    ['sticky text=;' => qq{no value for "text" $in, expected "text=raw"}],
    ['sticky domain=;' => qq{no value for "domain" $in, expected "domain=DOMAIN"}],
    ['sticky path=;' => qq{no value for "path" $in, expected "path=PATH"}],
    ['sticky expires=;' => qq{no value for "expires" $in, expected "expires=TIME"}],
    ['sticky samesite=;' => qq{no value for "samesite" $in, expected "samesite=strict|lax|none|\$VARIABLE"}],
    ['sticky transfer delimiter=;' => qq{no value for "delimiter" $in, expected "delimiter=TEXT"}],

    # wrong values
    ['sticky mode=url;' =>
        qq{invalid value "url" of parameter "mode" $in, expected "cookie", "query", "rewrite" or "discover"}],
    ['sticky "name=a b";' => qq{invalid value "a b" of parameter "name" $in, $cookie_name}],
    ['sticky "name=a;b";' => qq{invalid value "a;b" of parameter "name" $in, $cookie_name}],
    ['sticky name=a=b;' => qq{invalid value "a=b" of parameter "name" $in, $cookie_name}],
    ['sticky "name=a\nb";' => qq{invalid value "a\\x0ab" of parameter "name" $in, $cookie_name}],
    ['sticky hash=crc32;' => qq{invalid value "crc32" of parameter "hash" $in,}
        . ' expected "index", "md5", "sha1" or "sha256"'],
    ['sticky hmac=index hmac_key=k;' => qq{invalid value "index" of parameter "hmac" $in,}
        . ' expected "md5", "sha1" or "sha256"'],
    ['sticky text=md5;' => qq{invalid value "md5" of parameter "text" $in, expected "raw"}],
    ['sticky "domain=a;b";' => qq{invalid value "a;b" of parameter "domain" $in, $header_safe}],
    ['sticky path=/a,b;' => qq{invalid value "/a,b" of parameter "path" $in, $header_safe}],
    ['sticky expires=0;' => qq{invalid value "0" of parameter "expires" $in, $time}],
    ['sticky expires=1x;' => qq{invalid value "1x" of parameter "expires" $in, $time}],
    ['sticky expires=-1;' => qq{invalid value "-1" of parameter "expires" $in, $time}],
    ['sticky expires=500ms;' => qq{invalid value "500ms" of parameter "expires" $in, $time}],
    ['sticky samesite=Lax;' => qq{invalid value "Lax" of parameter "samesite" $in,}
        . ' expected "strict", "lax", "none" or a variable'],
    ['sticky transfer "delimiter=;";' => qq{invalid value ";" of parameter "delimiter" $in,}
        . ' expected a text without control characters and ";"'],

    # repeated
    (map {
        my ($name) = /^(\w+)/;
        ["sticky $_ $_;" => qq{"sticky" directive parameter "$name" is duplicate}];
    } qw{
        mode=cookie name=a hash=md5 hmac=md5 hmac_key=k hmac_key_file=f text=raw domain=a path=/ expires=1h secure
        httponly samesite=lax partitioned transfer delimiter=. hide_cookie no_fallback
    }),
    ['sticky hash=md5 hash=sha1;' => '"sticky" directive parameter "hash" is duplicate'],

    # contradictions
    ['sticky hash=md5 hmac=md5 hmac_key=k;' => qq{"hash" together with "hmac" $in: $one_of_three}],
    ['sticky text=raw hash=md5;' => qq{"hash" together with "text" $in: $one_of_three}],
    ['sticky text=raw hmac=md5 hmac_key=k;' => qq{"hmac" together with "text" $in: $one_of_three}],
    ['sticky hmac=md5;' =>
        qq{"hmac" without "hmac_key" $in: expected "hmac_key=KEY" or "hmac_key_file=FILE" beside it}],
    ['sticky hmac_key=k;' =>
        qq{"hmac_key" without "hmac" $in: a key has no effect on any other kind of value}],
    ['sticky hash=md5 hmac_key=k;' =>
        qq{"hmac_key" without "hmac" $in: a key has no effect on any other kind of value}],
    ['sticky delimiter=.;' =>
        qq{"delimiter" without "transfer" $in: there is nothing to divide}],
    ['sticky samesite=none;' =>
        qq{"samesite=none" without "secure" $in: browsers drop such a cookie}],
    ['sticky partitioned;' =>
        qq{"partitioned" without "secure" $in: browsers drop such a cookie}],

    # parameters of the other mode
    (map {
        my ($name) = /^(\w+)/;
        my $belongs = qq{parameter "$name" $in belongs to "mode=query", but the mode is "cookie"};
        ["sticky $_;" => "$belongs, the default"], ["sticky $_ mode=cookie;" => $belongs];
    } qw{ from=query learn=html lifetime=1h zone=a:1m hosts=a }),
);

my $t = prepare(Test::Nginx->new()->has(qw/ http /)->plan(@accepted + @refused + 2));

is(verdict_on_upstream($t, $_), '', "accepted: $_") for @accepted;

for my $case (@refused) {
    my ($directive, $message) = @$case;
    is(verdict_on_upstream($t, $directive), "nginx: [emerg] $message in case.conf:2\n",
        "refused: $directive");
}

# where it stands

is(verdict_on_upstream($t, '', '', 'sticky secure', '    httponly', '    httponly;'),
    qq{nginx: [emerg] "sticky" directive parameter "httponly" is duplicate in case.conf:6\n},
    'line number of the end of the directive');

unlike(verdict_on_upstream($t, 'sticky hmackey=tops3cret;'), qr/tops3cret/,
    'a key is not shown, even when its name is misspelt');
