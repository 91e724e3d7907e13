#!/usr/bin/perl

# Tests for make for-nginx (tools/for-nginx): what it reads from a binary, where it finds the source,
# and what it says when there is none; without it whoever has an nginx that is not Debian's gets a
# module that nginx refuses, and does not learn why.
#
# With stand-ins for nginx, cargo and apt-get, in seconds. STICKY_FOR_NGINX has binaries for real, as
# BINARY or BINARY=SOURCE with spaces between, for each of which a module is built (make
# test-for-nginx).

use warnings;
use strict;

use Test::More;

use Cwd qw/ abs_path /;
use File::Path qw/ make_path remove_tree /;
use File::Temp qw/ tempdir /;
use FindBin;

my $top = abs_path("$FindBin::Bin/..");
plan(skip_all => 'tools are not there') unless -x "$top/tools/for-nginx";

# The tool writes into the target of its own tree.
my $dir = tempdir(CLEANUP => 1);
make_path("$dir/tree/tools", "$dir/bin");
for my $tool (qw/ for-nginx check-load apt-source /) {
    write_file("$dir/tree/tools/$tool", text("$top/tools/$tool"), 0755);
}
my $built = "$dir/tree/target/for-nginx";

# A cargo that has the nginx of CRATES, which are lines "CRATE NGINX", and that builds a module; an
# apt-get without any archive; a compiler that tells the signature of SIGNATURE.
stand_in('cargo', <<'EOC');
manifest=
for word; do case $word in */crate/Cargo.toml) manifest=$word ;; esac; done
case $1 in
    generate-lockfile)
        wanted=$(sed -n 's/^nginx-src = "\(.*\)"/\1/p' "$manifest")
        case $wanted in
            '~'*) found=$(echo "$CRATES" | grep "^${wanted#\~}\." | tail -n 1) ;;
            =*) found=$(echo "$CRATES" | grep "^${wanted#=} ") ;;
        esac
        [ -n "$found" ] || exit 101
        printf 'name = "nginx-src"\nversion = "%s+%s"\n' ${found% *} ${found#* } >"${manifest%.toml}.lock"
        ;;
    metadata) echo "{\"manifest_path\":\"$CRATE_AT/nginx-src-1/Cargo.toml\"}" ;;
    build)
        echo "$NGINX_SOURCE_DIR $NGINX_BUILD_DIR" >"$CALLS"
        while [ "$1" != --target-dir ]; do shift; done
        mkdir -p "$2/release" && echo module >"$2/release/libngx_http_sticky_rs.so"
        ;;
esac
EOC
stand_in('apt-get', 'exit 100');
stand_in('apt-config', 'echo "list=/nowhere parts=/nowhere"');
stand_in('apt-cache', 'echo "$SOURCES"');
stand_in('dpkg-query', 'exit 1');
stand_in('cc', 'echo "signature \"8,4,8,\" \"$SIGNATURE\""');
$ENV{PATH} = "$dir/bin:$ENV{PATH}";
$ENV{CRATES} = "1.28.0 1.28.0\n1.28.1 1.28.0\n1.28.2 1.28.1\n1.28.3 1.28.3";
$ENV{CRATE_AT} = $dir;
$ENV{CALLS} = "$dir/calls";
$ENV{SIGNATURE} = '1' x 34;
$ENV{SOURCES} = '';
delete @ENV{qw/ CARGO CC NGINX_SOURCE_DIR NGINX_BUILD_DIR /};

# What is no nginx.
is(said("$dir/nothing"), "1 sticky: no such file: $dir/nothing\n", 'no file');
is(said($dir), "1 sticky: $dir cannot be executed\n", 'a folder');
is(said('/bin/true'), "1 sticky: /bin/true is no nginx: it does not tell its version by -V\n", 'no nginx');
my $nginx = nginx('silent', 'nginx/1.28.3', undef);
is(said($nginx), "1 sticky: $nginx does not tell by -V how it was configured\n", 'no arguments');

# Where the source comes from.
make_source("$dir/nginx-src-1/nginx", '1.28.1');
$nginx = nginx('crate', 'nginx/1.28.1', '--with-compat --with-threads');
is(said('--dry-run', $nginx), "0 sticky: $nginx is nginx 1.28.1\nsticky: source: crate nginx-src 1.28.2+1.28.1\n"
    . "sticky: configured with: --with-compat --with-threads\n", 'of the crate, in an older version of it');
ok(!-e "$built/nginx-1.28.1/nginx", '--dry-run configures nothing');

my $none = "Tried:\n  crate nginx-src has 1.28.3, 1.28.1, 1.28.0, 1.28.0\n"
    . "  source packages of apt: %s\n  SOURCE=DIR names a folder that has it\n";
$nginx = nginx('missing', 'nginx/1.28.9', '--with-compat');
my $log = "$built/nginx-1.28.9/apt/apt.log";
is(said($nginx), "1 sticky: $nginx is nginx 1.28.9\nsticky: the source of nginx 1.28.9 is not to be had. "
    . sprintf($none, "no archive has the source of package nginx, see $log"), 'nowhere, and what was tried');
$ENV{SOURCES} = "Version: 1.22.1-9\nVersion: 1.28.10-1";
like(said($nginx), qr/apt: of package nginx, there is only 1\.22\.1-9 1\.28\.10-1 *$/m, 'other versions of apt');
$nginx = nginx('unknown', 'nginx/9.9.9', '');
like(said($nginx), qr/^  crate nginx-src has no 9\.9, or crates\.io cannot be reached$/m, 'none of the crate');

$nginx = nginx('angie', 'Angie/1.10.2', '--with-compat');
is(said($nginx), "1 sticky: $nginx is Angie 1.10.2\nsticky: the source of Angie is not looked for: "
    . "name its folder, SOURCE=DIR\n", 'a relative of nginx');
make_source("$dir/of-angie", '1.27.4');
like(said('--dry-run', $nginx, "$dir/of-angie"), qr/^0 .*\nsticky: source: \Q$dir\E\/of-angie$/m, 'with its source');

$nginx = nginx('given', 'nginx/1.30.0', '--with-compat');
is(said($nginx, $dir), "1 sticky: $nginx is nginx 1.30.0\nsticky: $dir is no source of nginx: "
    . "there is no src/core/nginx.h that tells a version\n", 'no source');
is(said($nginx, "$dir/of-angie"), "1 sticky: $nginx is nginx 1.30.0\nsticky: $dir/of-angie is nginx 1.27.4, "
    . "and $nginx is 1.30.0\n", 'the source of another version');

# Which arguments.
make_source("$dir/source", '1.30.0');
$nginx = nginx('arguments', 'nginx/1.30.0', q{--prefix='/a b' --with-compat }
    . q{--with-cc-opt='-O2 -specs=/x -DA=1 -I/inc -D_FORTIFY_SOURCE=2 -m64' --with-ld-opt=-pie --with-openssl=/o }
    . q{--with-pcre=/p --with-stream=dynamic --with-http_perl_module=dynamic --add-module=/m --add-dynamic-module=/n});
my $said = said('--dry-run', $nginx, "$dir/source");
like($said, qr{^sticky: configured with: --prefix=/a b --with-compat --with-cc-opt=-DA=1 -I/inc -m64 --with-pcre --with-stream=dynamic$}m,
    'those that decide on headers');
like($said, qr{^sticky: left out: --with-ld-opt=-pie --with-openssl=/o --with-pcre=/p --with-http_perl_module=dynamic --add-module=/m --add-dynamic-module=/n$}m,
    'the rest is named');

# The build.
$said = said($nginx, "$dir/source");
my $module = "$built/nginx-1.30.0/ngx_http_sticky_rs.so";
like($said, qr/\A0 .*sticky: \Q$nginx\E loads it\nsticky: built \Q$module\E\n\z/s, 'built');
is(text($module), "module\n", 'there');
my $tree = "$built/nginx-1.30.0/nginx";
is(text("$dir/calls"), "$tree $tree/objs\n", 'for a copy of the source');
ok(!-e "$dir/source/objs", 'the source itself is as it was');
is(text("$tree/objs/arguments"), join("\n", '--prefix=/a b', '--with-compat', '--with-cc-opt=-DA=1 -I/inc -m64',
    '--with-pcre', '--with-stream=dynamic', ''), 'each argument as one');

unlink "$dir/calls";
$ENV{SIGNATURE} = '0' . '1' x 33;
like(said($nginx, "$dir/source"), qr/^sticky: the module would not fit \Q$nginx\E: its signature is 8,4,8,1{34}, that of the source 8,4,8,01{33}: was it built from another source\?$/m,
    'another signature');
my $strict = nginx('strict', 'nginx/1.30.0', '--with-threads');
$said = said($strict, "$dir/source");
like($said, qr/^1 sticky: \Q$strict\E is nginx 1\.30\.0, built without --with-compat$/m, 'without --with-compat');
like($said, qr/011*: it was built without --with-compat, so that it takes only modules which were configured exactly as it was$/m,
    'why it does not fit');
ok(!-e "$dir/calls", 'nothing is built for nothing');

$ENV{SIGNATURE} = '1' x 34;
write_file("$dir/refuses", '');
is((split /\n/, said($nginx, "$dir/source"))[-1], "sticky: $module is built, and $nginx does not load it: "
    . 'was it built from another source?', 'not loaded');
unlink "$dir/refuses";
write_file("$dir/source/configure", "#!/bin/sh\necho no compiler\nexit 1\n", 0755);
like(said($nginx, "$dir/source"), qr/^no compiler\nsticky: nginx's configure fails, see \Q$built\E/m, 'configure fails');

# For real.
$ENV{PATH} =~ s/^\Q$dir\E\/bin://;
for my $word (split ' ', $ENV{STICKY_FOR_NGINX} // '') {
    my ($binary, $source) = split /=/, $word;
    my $said = `'$top/tools/for-nginx' '$binary' '@{[ $source // '' ]}' 2>&1`;
    is($?, 0, "built for $binary") or diag($said);
    like($said, qr/^sticky: \Q$binary\E loads it\nsticky: built \S+\/ngx_http_sticky_rs\.so\n\z/m, 'which loads it');
}
done_testing();

# The exit status of the tool, and both outputs.
sub said {
    my $said = join '', map { " '$_'" } "$dir/tree/tools/for-nginx", @_;
    $said = `$said 2>&1`;
    return ($? >> 8) . ' ' . $said;
}

# An nginx that says this of itself; it takes any module unless there is a file "refuses".
sub nginx {
    my ($name, $version, $arguments) = @_;
    my $said = "nginx version: $version\n" . (defined $arguments ? "configure arguments: $arguments\n" : '');
    write_file("$dir/$name.said", $said);
    write_file("$dir/$name", "#!/bin/sh\n# 8,4,8," . '1' x 34 . "\ncase \$1 in\n-V) cat '$dir/$name.said' >&2 ;;\n"
        . "*) [ ! -e '$dir/refuses' ] || { echo 'nginx: [emerg] not compatible'; exit 1; } ;;\nesac\n", 0755);
    return "$dir/$name";
}

sub make_source {
    my ($folder, $version) = @_;
    make_path("$folder/src/core");
    write_file("$folder/src/core/nginx.h", qq{#define nginx_version  1\n#define NGINX_VERSION      "$version"\n});
    write_file("$folder/configure", "#!/bin/sh\nmkdir objs\nprintf '%s\\n' \"\$@\" >objs/arguments\n", 0755);
}

sub stand_in {
    my ($name, $does) = @_;
    write_file("$dir/bin/$name", "#!/bin/sh\n$does\n", 0755);
}

sub write_file {
    my ($name, $text, $mode) = @_;
    open my $file, '>', $name or die "$name: $!\n";
    print {$file} $text;
    close $file or die "$name: $!\n";
    chmod $mode, $name if $mode;
}

sub text {
    my ($name) = @_;
    open my $file, '<', $name or return '';
    local $/;
    return scalar(<$file>) // '';
}
