#!/usr/bin/perl

# Tests for the line about an upstream whose first 1,000 responses have given no id; without it an
# operator with a wrong name sees sessions break, and nothing that says why.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;
use Sticky::Upstreams qw/ configure /;

use IO::Socket::INET;

my $t = Test::Nginx->new()->has(qw/http proxy map/);

$t->write_file_expand('backends.conf', backends());
my %lines = (
    header  => 'sticky mode=query from=header:X-Token learn=header:X-Token;',
    handed  => 'sticky mode=query;',
    brought => 'sticky mode=query;',
    few     => 'sticky mode=query;',
    cookie  => 'sticky;',
);
my $wrong = sub {
    configure($t, { %lines, wrong => $_[0] },
        of_http => "include backends.conf;\naccess_log off;\nkeepalive_requests 100000;");
};

$wrong->('sticky mode=query name=sid;');
$t->try_run('no module')->plan(12);

many('/wrong/', 599, 'X-Page: <a href=/?other=1>');
many('/wrong/', 300, 'X-Page: <a href=/?other=1>', 'X-Set-Cookie: PHPSESSID=abc; path=/');
many('/wrong/type/json', 60, 'X-Page: {}', "X-Set-Cookie: PHPSESSID=abc");
many('/wrong/302', 40, 'X-Location: /', 'X-Set-Cookie: gone=; Max-Age=0');
is(lines('wrong'), 0, 'nothing after 999 responses');
many('/wrong/', 1, 'X-Page: page');
is(lines('wrong'), 1, 'a line after 1,000');
like($t->read_file('error.log'),
    qr/\[error\] .*sticky: the first 1000 responses gave no session id and their requests had none: HTML \d+, JSON 60, Location 40, no parameter "sid"; Set-Cookie PHPSESSID 360 times; see mode=discover, upstream "wrong"/,
    'it says what was seen');
many('/wrong/', 1200, 'X-Page: page');
is(lines('wrong'), 1, 'and not again');

many('/header/', 1000, 'X-Page: page');
like($t->read_file('error.log'), qr/nothing for from=header:x-token; see mode=discover/, 'what is not there');

many('/handed/', 10, 'X-Page: page');
many('/handed/', 1, 'X-Page: <a href="/?sid=1">');
many('/handed/', 1200, 'X-Page: page');
is(lines('handed'), 0, 'no line where an id was handed out');
many('/brought/?sid=1', 1, 'X-Page: page');
many('/brought/', 1200, 'X-Page: page');
is(lines('brought'), 0, 'no line where a request had one');
many('/cookie/', 1200, 'X-Page: page');
is(lines('cookie'), 0, 'no line where none is looked for');

# Over a reload the count goes on, and it begins anew for another directive.

many('/few/', 500, 'X-Page: page');
$wrong->('sticky mode=query name=id;');
$t->reload();
ok(eventually(sub { $t->read_file('error.log') =~ /exited with code 0.*exited with code 0/s }),
    'reloaded');
many('/few/', 500, 'X-Page: page');
is(lines('few'), 1, 'with what was before');
many('/wrong/', 1000, 'X-Page: page');
is(lines('wrong'), 2, 'the same for another directive');
like($t->read_file('error.log'), qr/no parameter "id"; see mode=discover, upstream "wrong"/, 'in its words');

# So many requests in one connection after the other.
sub many {
    my ($uri, $count, @headers) = @_;
    while ($count > 0) {
        my $some = $count > 100 ? 100 : $count;
        $count -= $some;
        my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1:' . port(8080)) or die "no nginx";
        for my $number (1 .. $some) {
            my $connection = $number == $some ? 'close' : 'keep-alive';
            print {$s} join "\x0d\x0a", "GET $uri HTTP/1.1", 'Host: localhost', "Connection: $connection", @headers, '', '';
        }
        local $/;
        my $all = <$s> // '';
        my $answers = () = $all =~ /HTTP\/1\.1 \d/g;
        die "$answers answers of $some" if $answers != $some;
    }
    return;
}

sub lines {
    my ($upstream) = @_;
    my $all = $t->read_file('error.log');
    return scalar(() = $all =~ /see mode=discover, upstream "$upstream"/g);
}
