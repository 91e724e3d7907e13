#!/usr/bin/perl

# Tests for what make does to a machine (tools/packages, tools/check-fit, tools/uninstall); without
# them make installs packages unasked and in silence, puts a module into the folder of an nginx that
# it stops, or takes one away that nginx needs.

use warnings;
use strict;

use Test::More;

use File::Temp qw/ tempdir /;
use FindBin;

my $tools = "$FindBin::Bin/../tools";
plan(skip_all => 'tools are not there') unless -x "$tools/packages" && -x "$tools/check-fit";
plan(tests => 44);

# Commands that stand in for those of the machine: they write down how they were called.
my $dir = tempdir(CLEANUP => 1);
mkdir "$dir/bin";
stand_in('dpkg-query', 'case $1 in --search) [ -n "${OWNER:-}" ] && echo "$OWNER: $2" ;;'
    . ' *) [ "$4" = here ] && echo "install ok installed" ;; esac');
stand_in('id', 'echo ${FAKE_UID:-0}');
stand_in('sudo', 'echo "sudo $*" >>"$CALLS"; exec "$@"');
stand_in('apt-get', 'echo "apt-get $*" >>"$CALLS"; echo "Unpacking $*";'
    . ' [ ! -e "$CALLS.fail" ] || { rm "$CALLS.fail"; exit 100; }');
$ENV{PATH} = "$dir/bin:$ENV{PATH}";
$ENV{CALLS} = "$dir/calls";
delete $ENV{ASSUME_YES};

my $install = 'apt-get install -y --no-install-recommends one two';

my ($status, $said) = packages('here', 'sh=nowhere', '/=nowhere');
is("$status $said", '0 ', 'nothing is missing, nothing is said');
is(calls(), '', 'nothing is called');

($status, $said) = packages('one', 'here', 'nosuchcommand=two');
is($status, 0, 'no terminal: installed');
like($said, qr/^sticky: testing needs packages that are not installed: one two$/m, 'what and why');
like($said, qr/^sticky: \Q$install\E$/m, 'the command');
like($said, qr/^Unpacking install/m, 'the progress');
is(calls(), "$install\n", 'apt-get');

($status, $said) = packages('nginx');
like($said, qr/^sticky: Debian starts nginx when it is installed$/m, 'a service');
calls();

open my $mark, '>', "$dir/calls.fail" or die "$dir: $!\n";
close $mark;
($status, $said) = packages('one', 'two');
is("$status " . calls(), "0 $install\napt-get update\n$install\n", 'old lists');

$ENV{FAKE_UID} = 1000;
($status, $said) = packages('one', 'two');
is(calls(), "sudo $install\n$install\n", 'by sudo');
delete $ENV{FAKE_UID};

SKIP: {
    skip 'no script(1)', 6 unless `script --version 2>&1` =~ /util-linux/;

    for my $answer ("n\n", "\n") {
        ($status, $said) = on_terminal($answer);
        isnt($status, 0, 'a terminal: not wanted');
        is(calls(), '', 'nothing is installed');
    }
    on_terminal("y\n");
    is(calls(), "$install\n", 'wanted');
    local $ENV{ASSUME_YES} = 1;
    on_terminal('');
    is(calls(), "$install\n", 'ASSUME_YES=1: not asked');
}

# tools/check-fit, with an nginx that takes no module, or any.

stand_in('nginx', 'if [ "$1" = -V ]; then echo "configure arguments: --modules-path=/m --x" >&2; exit;'
    . ' fi; cat "$3$5" >"$CALLS"; [ -n "${FITS:-}" ] ||'
    . ' { echo "nginx: [emerg] module is not binary compatible in nginx.conf:1"; exit 1; }');

($status, $said) = run("'$tools/check-fit' '$dir/calls' /m");
is($status >> 8, 1, 'another nginx');
is($said, "module is not binary compatible in nginx.conf:1\nsticky: $dir/calls does not fit"
    . " $dir/bin/nginx, whose modules are in /m: nothing is installed\n", 'says why');
like(calls(), qr!^load_module "\Q$dir\E/calls";$!m, 'the module was tried');
($status, $said) = run("'$tools/check-fit' '$dir/calls' /elsewhere");
is("$status $said", '0 ', 'the folder of an unknown nginx');
$ENV{FITS} = 1;
($status, $said) = run("'$tools/check-fit' '$dir/calls' /m/");
is("$status $said", '0 ', 'it fits');

mkdir "$dir/m";
write_file("$dir/m/ngx_http_sticky_rs.so", '');
{
    local $ENV{OWNER} = 'libnginx-mod-http-sticky-rs:amd64';
    ($status, $said) = run("'$tools/check-fit' '$dir/calls' '$dir/m'");
    is($status >> 8, 1, 'the module of a package is not overwritten');
    like($said, qr/ is of package libnginx-mod-http-sticky-rs, nothing is installed/, 'said');

    ($status, $said) = run("'$tools/uninstall' '$dir/m'");
    is($status >> 8, 1, 'the module of a package is not removed');
    like($said, qr/ is of package libnginx-mod-http-sticky-rs: apt remove /, 'said');
    ok(-e "$dir/m/ngx_http_sticky_rs.so", 'it is there');
}

# tools/uninstall, with an nginx whose configuration is in DIR/etc, and is right or not.

my $loads = "load_module modules/ngx_http_sticky_rs.so;\n";
stand_in('nginx', 'if [ "$1" = -V ]; then echo "configure arguments: --conf-path=' . $dir
    . '/etc/nginx.conf --modules-path=' . $dir . '/m" >&2; exit; fi; [ -n "${RIGHT:-}" ] ||'
    . ' { echo "${TIME-nginx:} [emerg] ${TIME:+7#7: }unknown directive \"sticky\" in nginx.conf:1"; exit 1; }');
mkdir "$dir/etc";
mkdir "$dir/etc/modules-enabled";

write_file("$dir/etc/nginx.conf", "user nobody;\n  $loads");
($status, $said) = run("'$tools/uninstall' '$dir/m/'");
is($status >> 8, 1, 'nginx.conf loads the module');
is($said, "sticky: $dir/etc/nginx.conf loads it: remove that line first, then run this again\n", 'said');
ok(-e "$dir/m/ngx_http_sticky_rs.so", 'nothing is removed');

write_file("$dir/etc/nginx.conf", "user nobody;\n# $loads");
write_file("$dir/etc/modules-enabled/60-sticky-rs.conf", "$loads# more\nenv A;\n");
($status, $said) = run("'$tools/uninstall' '$dir/m'");
is($status >> 8, 1, 'a file of modules-enabled does more than that');
ok(-e "$dir/m/ngx_http_sticky_rs.so", 'nothing is removed');

write_file("$dir/etc/modules-enabled/60-sticky-rs.conf", "# Sessions.\n$loads\n");
($status, $said) = run("'$tools/uninstall' '$dir/m'");
is($status, 0, 'a file of modules-enabled, and a configuration that needs the module');
like($said, qr{^sticky: removed \Q$dir\E/m/ngx_http_sticky_rs.so \Q$dir\E/etc/modules-enabled/60-sticky-rs.conf$}m,
    'what is removed');
like($said, qr/^sticky: nginx -t: unknown directive "sticky" in nginx.conf:1$/m, 'what is wrong now');
ok(!-e "$dir/m/ngx_http_sticky_rs.so", 'the module is gone');
ok(!-e "$dir/etc/modules-enabled/60-sticky-rs.conf", 'the file is gone');
ok(-e "$dir/etc/nginx.conf", 'nginx.conf is not');

($status, $said) = run("'$tools/uninstall' '$dir/m'");
is("$status $said", "0 sticky: no $dir/m/ngx_http_sticky_rs.so: nothing to remove\n", 'again');

{
    local $ENV{TIME} = '2026/11/27 23:58:36';
    write_file("$dir/m/ngx_http_sticky_rs.so", '');
    ($status, $said) = run("'$tools/uninstall' '$dir/m'");
    like($said, qr/^sticky: nginx -t: unknown directive "sticky" in nginx.conf:1$/m, 'with the time before it');
}

write_file("$dir/m/ngx_http_sticky_rs.so", '');
$ENV{RIGHT} = 1;
($status, $said) = run("'$tools/uninstall' '$dir/m'");
is("$status $said", "0 sticky: removed $dir/m/ngx_http_sticky_rs.so\n", 'nothing else to say');

mkdir "$dir/other";
write_file("$dir/other/ngx_http_sticky_rs.so", '');
write_file("$dir/etc/nginx.conf", $loads);
($status, $said) = run("'$tools/uninstall' '$dir/other'");
is("$status $said", "0 sticky: removed $dir/other/ngx_http_sticky_rs.so\n", 'the folder of another nginx');
ok(-e "$dir/etc/nginx.conf", 'whose configuration is not looked at');

# The manual page goes with the module.

write_file("$dir/m/ngx_http_sticky_rs.so", '');
write_file("$dir/m/ngx_http_sticky_rs.5", '');
write_file("$dir/etc/nginx.conf", '');
($status, $said) = run("'$tools/uninstall' '$dir/m' '$dir/m/ngx_http_sticky_rs.5'");
is("$status $said", "0 sticky: removed $dir/m/ngx_http_sticky_rs.so $dir/m/ngx_http_sticky_rs.5\n", 'the manual page');
ok(!-e "$dir/m/ngx_http_sticky_rs.5", 'which is gone');

sub packages {
    return run(join ' ', "'$tools/packages'", 'testing', @_);
}

sub run {
    my ($command) = @_;
    my $said = `$command 2>&1 </dev/null`;
    return ($?, $said);
}

# Its error output is the terminal, and its input.
sub on_terminal {
    my ($answer) = @_;
    open my $to, '|-', "script -qec \"'$tools/packages' testing one two\" /dev/null >'$dir/said' 2>&1"
        or die "script: $!\n";
    print $to $answer;
    close $to;
    return ($?, '');
}

# How apt-get and sudo were called since the last time.
sub calls {
    open my $in, '<', "$dir/calls" or return '';
    my $calls = do { local $/; <$in> };
    unlink "$dir/calls";
    return $calls;
}

sub write_file {
    my ($name, $text) = @_;
    open my $out, '>', $name or die "$name: $!\n";
    print $out $text;
    close $out;
    return;
}

sub stand_in {
    my ($name, $text) = @_;
    open my $out, '>', "$dir/bin/$name" or die "$name: $!\n";
    print $out "#!/bin/sh\n$text\n";
    close $out;
    chmod 0755, "$dir/bin/$name";
}
