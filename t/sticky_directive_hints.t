#!/usr/bin/perl

# Tests for messages about what means something elsewhere: a missing semicolon, a directive in the
# wrong block, words of NGINX Plus, Angie and Tengine; without these the operator gets a list of
# parameters to look through, or "not allowed here".

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Configuration qw/ prepare verdict verdict_on_upstream /;

my $missing = 'is a ";" missing before it?';
my $learn = 'sticky learn create=$arg_a lookup=$arg_a zone=z:1m';
my $time = 'invalid value "off" of parameter "expires" in "sticky" directive, expected a time';

sub invalid { return qq{invalid parameter "$_[0]" in "sticky" directive, $_[1]} }

my @refused = (
    ['sticky on;' => invalid('on', '"sticky;" alone turns it on')],
    ['sticky off;' => invalid('off', 'it is off without the directive')],
    ['sticky server 127.0.0.1:9;' => invalid('server', $missing)],
    ['sticky mode=query name=sid keepalive 8;' => invalid('keepalive', $missing)],
    ['sticky mode=query zone u 64k;' =>
        invalid('zone', 'expected "zone=NAME[:SIZE]|off", or a ";" before it')],
    ['sticky cookie srv server 127.0.0.1:9;' => qq{unknown parameter "server", $missing}],
    ['sticky route $arg_a server 127.0.0.1:9;' => qq{invalid variable name "server", $missing}],
    ["$learn sync;" => 'unknown parameter "sync", which is of NGINX Plus: sessions are shared by'
        . ' the workers of one nginx, leave it out'],
    ["$learn remote_action=/a;" => 'unknown parameter "remote_action=/a", which is of Angie:'
        . ' sessions are kept by nginx itself, leave it out'],
    ['sticky cookie srv max-age=3600;' => 'unknown parameter "max-age=3600", which is of Angie,'
        . ' expected "expires=TIME"'],
    ['server 127.0.0.1:9 sid=a;' =>
        'parameter "sid" of "server" is of Angie, expected "route="'],
    ['sticky expires=off;' =>
        qq{$time, or no "expires" to keep the cookie until the browser is closed}],
    ['sticky mode=query expires=off;' => "$time of 1 second to 366 days, for every session ends"],
    ['session_sticky cookie=a;' => 'unknown directive "session_sticky", which is of Tengine,'
        . ' expected "sticky" with "name=", "domain=", "path=" and "expires=" in place of'
        . ' "cookie=", "domain=", "path=" and "maxage="'],
);

my @blocks = ([http => '%s'], [server => "server {\n%s\n}\n"],
    [location => "server {\nlocation / {\n%s\n}\n}\n"],
    [if => "server {\nlocation / {\nif (\$arg_a) {\n%s\n}\n}\n}\n"],
    ['if of a server' => "server {\nif (\$arg_a) {\n%s\n}\n}\n"],
    [limit_except => "server {\nlocation / {\nlimit_except GET {\n%s\n}\n}\n}\n"]);
my @directives = ('sticky;', 'sticky mode=query;', 'sticky_secret a;', 'sticky_strict on;');

my $t = prepare(Test::Nginx->new()->has(qw/ http rewrite upstream_keepalive upstream_zone /)
    ->plan(@refused + @blocks * @directives + 1));

for my $case (@refused) {
    my ($directive, $message) = @$case;
    is(verdict_on_upstream($t, $directive), "nginx: [emerg] $message in case.conf:2\n", $directive);
}

for my $block (@blocks) {
    my ($where, $text) = @$block;
    my $line = 1 + (() = $text =~ /\n(?=.*%s)/gs);
    for my $directive (@directives) {
        my ($name) = $directive =~ /^(\w+)/;
        is(verdict($t, sprintf $text, $directive),
            qq{nginx: [emerg] "$name" directive is not allowed here, expected inside of an}
            . qq{ "upstream" block in case.conf:$line\n}, "$directive in $where");
    }
}

is(verdict_on_upstream($t, 'server 127.0.0.1:9 route=sid;', 'sticky;'), '', 'route=sid');
