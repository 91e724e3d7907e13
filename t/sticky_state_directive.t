#!/usr/bin/perl

# Tests for the parameter state=: which files a zone may have; without these checks two tables write
# over each other in one file, or nginx finds out after an hour that it cannot write at all.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Configuration qw/ prepare verdict /;

my $t = prepare(Test::Nginx->new()->has(qw/ http /)->plan(20));
my $dir = $t->testdir();

# Each word list is the directive of an upstream of its own: lines 2, 6, 10 of case.conf.
sub upstreams {
    my $n = 0;
    return join '', map { $n++; "upstream u$n {\n    sticky $_;\n    server 127.0.0.1:9;\n}\n" } @_;
}

sub emerg { return "nginx: [emerg] $_[0]\n" }

mkdir "$dir/sub";
symlink "$dir/sub", "$dir/link";

is(verdict($t, upstreams('mode=query state=x')), '', 'the zone of the upstream, under the prefix');
is(verdict($t, upstreams("mode=query zone=s state=$dir/sub/x")), '', 'an absolute name');
is(verdict($t, upstreams('mode=query zone=s state=x', 'mode=query zone=s state=x')), '',
    'two upstreams of one zone');
is(verdict($t, upstreams('mode=query zone=s', "mode=query zone=s state=$dir/x",
    'mode=query zone=s state=sub/../x')), '', 'one of them, or by another name of the file');
is(verdict($t, upstreams('mode=query zone=s state=x', 'mode=query zone=r state=y')), '',
    'two zones, two files');

is(verdict($t, upstreams('mode=query zone=s state=x', 'mode=query zone=s state=y')),
    emerg('sticky zone "s" has the state file "x" already in case.conf:6'), 'two files for a zone');
is(verdict($t, upstreams('mode=query zone=s state=x', 'mode=query zone=r state=x')),
    emerg('state file "x" is already used by sticky zone "s" in case.conf:6'), 'two zones, one file');
is(verdict($t, upstreams('mode=query state=sub/x', 'mode=query state=link/x')),
    emerg('state file "link/x" is already used by sticky zone "sticky:u1" in case.conf:6'),
    'by two names');

my $refused = sub {
    my ($value, $why) = @_;
    return emerg(qq{invalid value "$value" of parameter "state" in "sticky" directive, expected}
        . " a file in a directory that exists, $why in case.conf:2");
};
is(verdict($t, upstreams('mode=query state=none/x')),
    $refused->('none/x', 'No such file or directory (os error 2)'), 'no such directory');
is(verdict($t, upstreams('mode=query state=nginx.conf/x')),
    $refused->('nginx.conf/x', 'Not a directory (os error 20)'), 'no directory');
is(verdict($t, upstreams('mode=query state=sub/')), $refused->('sub/', 'is a directory'),
    'with a slash');
is(verdict($t, upstreams('mode=query state=y/')), $refused->('y/', 'is a directory'),
    'one that is to be');
is(verdict($t, upstreams('mode=query state=sub/.')), $refused->('sub/.', 'is a directory'),
    'with a dot');
is(verdict($t, upstreams("mode=query state=$dir/")), $refused->('', 'is a directory'),
    'the directory alone');

is(verdict($t, upstreams('mode=query zone=off state=x')),
    emerg('"state" together with "zone=off" in "sticky" directive: there is no zone to be kept'
        . ' in case.conf:2'), 'no zone');
is(verdict($t, upstreams('mode=query state=x state=y')),
    emerg('"sticky" directive parameter "state" is duplicate in case.conf:2'), 'twice');
is(verdict($t, upstreams('mode=query state=')),
    emerg('no value for "state" in "sticky" directive, expected "state=FILE" in case.conf:2'),
    'no value');
is(verdict($t, upstreams('mode=cookie state=x')),
    emerg('parameter "state" in "sticky" directive belongs to "mode=query", but the mode is "cookie"'
        . ' in case.conf:2'), 'mode=cookie');

# A test of the configuration touches nothing.

$t->write_file('x', 'not a state file');
is(verdict($t, upstreams('mode=query state=x')), '', 'a bad file is no bad configuration');
is(join(' ', sort map { s/.*\///r } glob "$dir/x* $dir/sub/*"), 'x', 'and is left alone');
