#!/usr/bin/perl

# Tests for tools/sticky-discover, which proposes a line for a site from outside; without them it
# may propose one that loses sessions, or walk where it should not.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;

my $tool = '../tools/sticky-discover';
qx(python3 --version 2>&1) =~ /^Python 3/ or plan(skip_all => 'no python3');

my $t = Test::Nginx->new()->has(qw/http rewrite map/)->plan(22);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    default_type  text/html;
    absolute_redirect off;
    log_format    seen  '$request';

    # A session goes on with the id that the request has.
    map $arg_sid $sid { "" $request_id; default $arg_sid; }
    map $cookie_JSESSIONID $java { "" "JSESSIONID=$request_id; Path=/java/"; }
    map $http_cookie $new { default ""; "" "PHPSESSID=$request_id; path=/"; }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        access_log   %%TESTDIR%%/seen.log  seen;

        location /link/ {
            return 200 '<a href="/link/a?sid=$sid&amp;article=a1b2c3d4e5">a</a><a href=/link/logout?sid=$sid>
                <a href="http://elsewhere.example/?sid=$sid">e</a><form action=/link/buy method=post>
                <input type=hidden name=sid value=$sid><input type=hidden name=csrf value=$request_id></form>';
        }
        location /cookie/ {
            add_header Set-Cookie $new;
            return 200 '<a href="/cookie/a">a</a><a href="/cookie/b">b</a><input name=csrf value=$request_id>';
        }
        location /java/ {
            add_header Set-Cookie $java;
            if ($cookie_JSESSIONID) {
                return 200 '<a href="/java/a;jsessionid=$cookie_JSESSIONID">a</a>';
            }
            return 200 '<a href="/java/a;jsessionid=$request_id">a</a>';
        }
        location = /redirect/ { return 302 /redirect/a?sid=$sid; }
        location /redirect/a { return 200 '<a href="/redirect/b?sid=$sid">b</a>'; }
        location /json/ { default_type application/json; return 200 '{"value":{"sessionId":"$request_id"}}'; }
        location /polling/ { default_type text/plain; return 200 '0{"sid":"$request_id"}'; }
        location /plain/ { return 200 '<a href="/plain/a?article=a1b2c3d4e5">a</a>'; }
        location /empty/ { default_type text/plain; return 200 'nothing'; }
        location /many/ { return 200 '<a href="/many/$request_id">next</a>'; }
    }
}

EOC

$t->run();

my ($code, $text) = discover('/link/');
is("$code " . first($text), '0 sticky mode=query name=sid;', 'links');
like($text, qr/another value for each visitor in: html form \(\d+\), html query \(\d+\)/, 'and where they are');
unlike($text, qr/csrf|article/, 'a token of a form is none, nor an article');
my $log = $t->read_file('seen.log');
unlike($log, qr!logout!, 'nobody is signed out');
is(scalar(grep { !/^GET / } split /\n/, $log), 0, "GET alone");

($code, $text) = discover('/cookie/');
is("$code " . first($text), '0 sticky mode=query name=PHPSESSID from=cookie learn=cookie;', 'a cookie');
($code, $text) = discover('/java/');
is("$code " . first($text), '0 sticky mode=query name=JSESSIONID;', 'a cookie and a parameter of the path');
($code, $text) = discover('/redirect/');
is("$code " . first($text), '0 sticky mode=query name=sid;', 'a redirect');

($code, $text) = discover('/json/');
is("$code " . first($text), '1 sticky mode=query name=sessionId from=query learn=json:value.sessionId;', 'JSON');
like($text, qr/uncertain: where programs bring it back/, 'which is uncertain');
($code, $text) = discover('/polling/');
is("$code " . first($text), '1 sticky mode=query name=sid from=query learn=json;', 'Socket.IO');
($code, $text) = discover('/plain/');
is("$code " . first($text), '1 sticky;', 'pages without an id');
like($text, qr/No line is certain/, 'and why');
($code, $text) = discover('/empty/');
is("$code " . first($text), '1 ', 'nothing at all');

# Bounds.

truncate $t->testdir() . '/seen.log', 0;
discover('--pages', 5, '/many/');
is(scalar(() = $t->read_file('seen.log') =~ /^GET/mg), 10, 'so many pages a visitor');

for my $wrong (['--pages', 51, '/'], ['--pages', 'x', '/'], ['--unknown', '/']) {
    ($code, $text) = discover(@$wrong);
    is($code, 2, "refused: @$wrong");
}
is((run('ftp://localhost/'))[0], 2, 'another scheme');
is((run())[0], 2, 'no URL');
($code, $text) = run('http://127.0.0.1:' . port(8089) . '/');
is($code, 2, 'a site that does not answer');
like($text, qr/^sticky-discover: http:.*refused/mi, 'and why');

sub discover {
    my @arguments = @_;
    my $path = pop @arguments;
    return run(@arguments, 'http://127.0.0.1:' . port(8080) . $path);
}

sub run {
    my @command = map { "'$_'" } $tool, @_;
    my $text = qx(@command 2>&1);
    return ($? >> 8, $text);
}

sub first { return $_[0] =~ /^(sticky\b(?!-).*;)$/m ? $1 : '' }
