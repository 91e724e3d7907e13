#!/usr/bin/perl

# Tests for the words of sticky_cluster and its place, before any store is spoken to; without them a
# node would start alone, or with a key that anybody guesses, and nobody would notice.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Configuration qw/ prepare verdict /;

my $t = prepare(Test::Nginx->new()->has(qw/ http /)->plan(43));
my $dir = $t->testdir();

sub emerg { return "nginx: [emerg] $_[0]\n" }
sub warning { return "nginx: [warn] $_[0]\n" }

my $in = 'in "sticky_cluster" directive';

$t->write_file('key', "0123456789abcdef\n");
$t->write_file('old', "fedcba9876543210\n");
$t->write_file('short', "0123456789abcde\n");
$t->write_file('empty', '');
$t->write_file('long', 'x' x 4097);
$t->write_file('password', "s3cret\n");
$t->write_file('lines', "a\nb\n");
mkdir "$dir/folder";

# One upstream for each list of words, with a server that means the same everywhere.
sub upstreams {
    my $n = 0;
    return join '', map { $n++; "upstream u$n {\n    sticky $_;\n    server 10.0.0.$n:9;\n}\n" } @_;
}

my $query = upstreams('mode=query');

for my $words (
    'redis://10.0.0.9/0 key_file=key', 'rediss://10.0.0.9 key_file=key', 'unix:/run/redis.sock key_file=key',
    'redis+sentinel://10.0.0.9,10.0.0.10/main key_file=key',
    'redis://u@10.0.0.9 key_file=key password_file=password old_key_file=old prefix=shop: wait=500ms',
    "redis://10.0.0.9 key_file=$dir/key wait=0")
{
    is(verdict($t, "sticky_cluster $words;\n$query"), '', $words);
}
is(verdict($t, $query . "sticky_cluster redis://10.0.0.9 key_file=key;\n"), '', 'behind its upstreams');
is(verdict($t, "sticky_cluster redis://10.0.0.9 key_file=key;\n"), '', 'without any');

is(verdict($t, "sticky_cluster redis://u:s3cret\@10.0.0.9:x key_file=key;\n"),
    emerg(qq{invalid URL "redis://***\@10.0.0.9:x" $in, expected "redis://HOST", "rediss://HOST", }
        . '"unix:/PATH" or "redis+sentinel://HOST,HOST/SERVICE" in case.conf:1'),
    'no URL, and its password is not shown');
is(verdict($t, "sticky_cluster redis://10.0.0.9;\n"),
    emerg(qq{no "key_file" $in, expected "key_file=FILE" with the key that all nodes have in case.conf:1}),
    'no key');
is(verdict($t, "sticky_cluster redis://10.0.0.9 key=x;\n"),
    emerg(qq{parameter "key" $in is a secret that does not stand in the configuration, expected }
        . '"key_file=FILE" in case.conf:1'), 'a key in everybody\'s sight');
is(verdict($t, "sticky_cluster;\n"),
    emerg('invalid number of arguments in "sticky_cluster" directive in case.conf:1'), 'no words');
is(verdict($t, "sticky_cluster redis://10.0.0.9 key_file=key;\nsticky_cluster redis://10.0.0.9 key_file=key;\n"),
    emerg('"sticky_cluster" directive is duplicate in case.conf:2'), 'twice');
is(verdict($t, "server {\nsticky_cluster redis://10.0.0.9 key_file=key;\n}\n"),
    emerg('"sticky_cluster" directive is not allowed here in case.conf:2'), 'in server');

for my $case (['key_file', 'short', 15], ['key_file', 'empty', 0], ['old_key_file', 'short', 15]) {
    my ($parameter, $file, $bytes) = @$case;
    my $words = $parameter eq 'key_file' ? "key_file=$file" : "key_file=key $parameter=$file";
    is(verdict($t, "sticky_cluster redis://10.0.0.9 $words;\n"),
        emerg(qq{the key of parameter "$parameter" $in is too short, expected at least 16 random bytes, as }
            . qq{"openssl rand -hex 32" makes them, "$file": it has $bytes bytes in case.conf:1}),
        "$parameter of $bytes bytes");
}
for my $case (
    ['key_file=none', 'key_file', 'a file with nothing but a key', 'No such file or directory (os error 2)'],
    ['key_file=long', 'key_file', 'a file with nothing but a key', 'it has more than 4096 bytes'],
    ['key_file=folder', 'key_file', 'a file with nothing but a key', 'it is no regular file'],
    ['key_file=key password_file=none', 'password_file', 'a file with nothing but a password',
        'No such file or directory (os error 2)'])
{
    my ($words, $parameter, $expected, $why) = @$case;
    my ($file) = $words =~ /=(\w+)$/;
    is(verdict($t, "sticky_cluster redis://10.0.0.9 $words;\n"),
        emerg(qq{cannot read the file of parameter "$parameter" $in, expected $expected, "$file": $why}
            . ' in case.conf:1'), "$words: $why");
}
is(verdict($t, "sticky_cluster rediss://10.0.0.9 key_file=key ca_file=none;\n"),
    emerg(qq{cannot read the file of parameter "ca_file" $in, expected certificates, "none": No such file }
        . 'or directory (os error 2) in case.conf:1'), 'no certificates');
# What is in them is looked at before a store is.

SKIP: {
    my $made = system("cd $dir && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=store"
        . ' -keyout own.key -out own.crt 2>/dev/null') == 0;
    skip 'openssl not found', 8 if !$made;
    my ($cert, $key) = ('a certificate', 'the key of a certificate');
    for my $case (
        ['ca_file=own.crt'],
        ['ca_file=own.crt cert_file=own.crt cert_key_file=own.key'],
        ['ca_file=key', 'ca_file', 'certificates', 'key'],
        ['ca_file=empty', 'ca_file', 'certificates', 'empty'],
        ['ca_file=own.key', 'ca_file', 'certificates', 'own.key'],
        ['cert_file=own.key cert_key_file=own.crt', 'cert_file', $cert, 'own.key'],
        ['cert_file=own.crt cert_key_file=own.crt', 'cert_key_file', $key, 'own.crt'],
        ['cert_file=own.crt cert_key_file=empty', 'cert_key_file', $key, 'empty'])
    {
        my ($words, $parameter, $expected, $file) = @$case;
        my $refused = defined $parameter && emerg(qq{the file of parameter "$parameter" $in cannot be used, }
            . qq{expected $expected as PEM, "$file" in case.conf:1});
        is(verdict($t, "sticky_cluster rediss://10.0.0.9 key_file=key $words;\n"), $refused || '', $words);
    }
}
for my $file ('lines', 'empty') {
    is(verdict($t, "sticky_cluster redis://10.0.0.9 key_file=key password_file=$file;\n"),
        emerg(qq{the password of parameter "password_file" $in cannot be used, expected one line of text, }
            . qq{"$file" in case.conf:1}), "no password: $file");
}
is(verdict($t, "sticky_cluster redis://10.0.0.9 key_file=key old_key_file=key;\n"),
    emerg(qq{"old_key_file" has the key of "key_file" $in, expected another one in case.conf:1}),
    'both keys are one');

my $cluster = "sticky_cluster redis://10.0.0.9 key_file=key;\n";
is(verdict($t, $cluster . upstreams('mode=query zone=off')),
    warning('"zone=off" in "sticky" directive keeps sessions from "sticky_cluster", expected a zone, or '
        . '"cluster=off", too, upstream "u1" in case.conf:3'), 'sessions of one worker');
is(verdict($t, $cluster . upstreams('mode=query zone=off cluster=off')), '', 'as it is meant');
is(verdict($t, upstreams('mode=query cluster=off')), '', 'cluster=off without a cluster');
is(verdict($t, $cluster . upstreams('mode=query zone=s:1m', 'mode=query zone=s cluster=off')),
    emerg('"cluster=off" in upstream "u2", but not in upstream "u1" of the same zone in case.conf:3, '
        . 'expected it in all or in none in case.conf:7'), 'a zone that is half in it');
is(verdict($t, $cluster . upstreams('mode=query zone=s:1m cluster=off', 'mode=query zone=s cluster=off')), '',
    'a zone that is not in it');
is(verdict($t, $cluster . "upstream u {\n    sticky mode=query;\n    server 127.0.0.1:9;\n}\n"),
    warning('server "127.0.0.1:9" is another one on each nginx of "sticky_cluster", expected "route=NAME", '
        . 'upstream "u" in case.conf:3'), 'a server that is another one elsewhere');
is(verdict($t, $cluster . "upstream u {\n    sticky mode=query;\n    server 127.0.0.1:9 route=a;\n}\n"), '',
    'one with a name');
is(verdict($t, $cluster . upstreams('mode=query cluster=on')),
    emerg('invalid value "on" of parameter "cluster" in "sticky" directive, expected "off", or no such '
        . 'parameter in case.conf:3'), 'cluster=on');

# Threads live in workers, wherever the directive stands that says that there are none.
my $conf = $t->read_file('nginx.conf');
$t->write_file('nginx.conf', "master_process off;\n$conf");
is(verdict($t, $cluster),
    emerg('"sticky_cluster" needs worker processes, expected no "master_process off" in case.conf:1'),
    'no workers');
$t->write_file('nginx.conf', "$conf\nmaster_process off;\n");
is(verdict($t, $cluster),
    emerg('"sticky_cluster" needs worker processes, expected no "master_process off" in case.conf:1'),
    'no workers, as is said behind http');
