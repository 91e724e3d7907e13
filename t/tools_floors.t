#!/usr/bin/perl

# Tests for tools/check-floors; without them imports that point upward, or in a ring, may pass.

use warnings;
use strict;

use Test::More;

use File::Basename qw/ dirname /;
use File::Path qw/ make_path /;
use File::Temp qw/ tempdir /;
use FindBin;

my $check = "$FindBin::Bin/../tools/check-floors";
plan(skip_all => 'tools/check-floors is not there') unless -x $check;

plan(tests => 15);

my %clean = (
    'src/lib.rs' => "mod module;\n",
    'src/module.rs' => "use crate::response::learn;\nuse crate::request::{self, steer::{Steering, X}};\n",
    'src/response.rs' => "pub mod learn;\n",
    'src/response/learn.rs' => "use crate::request::steer::Steering;\nuse sticky_core::url;\n",
    'src/request.rs' => "pub mod steer;\n",
    'src/request/steer.rs' => "use crate::ngx::peers;\n",
    'src/config.rs' => '', 'src/zone.rs' => '',
    'src/ngx.rs' => "pub mod peers;\npub mod sys;\n",
    'src/ngx/peers.rs' => "use super::sys;\n", 'src/ngx/sys.rs' => '',
    'src/core/lib.rs' => "pub mod url;\n", 'src/core/url.rs' => "mod name;\nuse name::Name;\n",
    'src/core/url/name.rs' => "use super::Url;\n",
);

my ($status, $said) = check();
is($status, 0, 'clean');
is($said, "check-floors: 12 files, 0 imports upward, 0 rings\n", 'clean, summary');

($status, $said) = check('src/config.rs' => "use crate::zone;\nuse crate::request::steer::X;\n");
is($status, 1, 'upward');
like($said, qr!^src/config\.rs:2: config imports src/request/steer\.rs of request, which is above it$!m,
    'upward, line');
like($said, qr/ 1 imports upward, 0 rings$/, 'upward, summary');

($status, $said) = check('src/ngx/sys.rs' => "\n\nfn f() { sticky_core::url::f() }\n");
is($status, 1, 'beside');
like($said, qr!^src/ngx/sys\.rs:3: ngx imports src/core/url\.rs of core, which is beside it$!m,
    'beside, a path without use');

($status, $said) = check('src/request/steer.rs' =>
    "use crate::{\n    ngx::{peers, sys},\n    response::learn as l,\n};\n");
like($said, qr!^src/request/steer\.rs:1: request imports src/response/learn\.rs!m, 'nested use');

($status, $said) = check('src/zone.rs' => "// use crate::module;\n\n#[cfg(test)]\nmod tests {\n"
    . "    use crate::module::X;\n}\n");
is($status, 0, 'comments and unit tests do not count');

($status, $said) = check('src/ngx/sys.rs' => "use super::peers;\n");
is($status, 1, 'ring');
like($said, qr!^src/ngx: a ring of imports: peers, sys\n    src/ngx/peers\.rs:1: peers imports sys$!m,
    'ring, its imports');

($status, $said) = check('src/elsewhere.rs' => '');
is($status, 2, 'a file on no floor');
like($said, qr!src/elsewhere\.rs is on no floor!, 'a file on no floor, message');

($status, $said) = check(floors => "module src/\n");
is($status, 0, 'other floors');

($status, $said) = check(floors => "cellar src/\n");
like($said, qr/unknown floor "cellar"/, 'unknown floor');

# Runs the check on a tree with some files changed.
sub check {
    my %files = (%clean, @_);
    my $floors = delete $files{floors};
    my $top = tempdir('floors-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    while (my ($name, $text) = each %files) {
        make_path(dirname("$top/$name"));
        write_file("$top/$name", $text);
    }
    my @command = ($check);
    if (defined $floors) {
        write_file("$top/floors", $floors);
        push @command, '--floors', "$top/floors";
    }
    my $said = qx{@command $top 2>&1};
    return ($? >> 8, $said);
}

sub write_file {
    my ($name, $text) = @_;
    open my $out, '>', $name or die "$name: $!";
    print $out $text;
    close $out or die "$name: $!";
}
