#!/usr/bin/perl

# Tests for tools/nginx-configure; without them a clone that is moved after a build no longer builds, as
# what configure has made names the folder in which it was. nginx's configure is a stand-in.

use warnings;
use strict;

use Test::More;

use File::Temp qw/ tempdir /;
use FindBin;

my $tool = "$FindBin::Bin/../tools/nginx-configure";
plan(skip_all => 'tools are not there') unless -x $tool;

my $dir = tempdir(CLEANUP => 1);
mkdir "$dir/source";
put("$dir/source/conf_flags", "NGX_CONF_FLAGS=(--with-http_ssl_module)\n");
put("$dir/source/configure", "#!/bin/sh\necho \"\$@\" > \"\${2#--builddir=}/arguments\"\n");
chmod 0755, "$dir/source/configure";

is(configure('1.22.1', 'objs'), 'configuring', 'configured');
is(text("$dir/objs/arguments"), "--with-http_ssl_module --builddir=$dir/objs\n", 'with the arguments of the package');
is(configure('1.22.1', 'objs'), 'nothing', 'once for a version');
is(configure('1.22.2', 'objs'), 'configuring', 'again for another one');
rename "$dir/objs", "$dir/moved";
is(configure('1.22.2', 'moved'), 'configuring', 'again when it was moved');
is(text("$dir/moved/arguments"), "--with-http_ssl_module --builddir=$dir/moved\n", 'with its new path');
is(configure('1.22.2', 'moved'), 'nothing', 'and then once');
put("$dir/source/configure", "#!/bin/sh\necho 'no compiler'; exit 1\n");
like(configure('1.22.3', 'moved'), qr/no compiler\n.*configure failed, see \Q$dir\E\/moved\.log/s, 'says why it failed');
is(configure('1.22.3', 'moved') =~ /failed/, 1, 'and tries again');

done_testing();

sub configure {
    my ($version, $objs) = @_;
    my $said = `'$tool' '$dir/source' $version '$dir/$objs' 2>&1`;
    return $? ? $said : $said =~ /configuring nginx \Q$version\E/ ? 'configuring' : $said eq '' ? 'nothing' : $said;
}

sub put {
    my ($name, $text) = @_;
    open my $file, '>', $name or die "$name: $!";
    print {$file} $text;
    close $file;
    return;
}

sub text {
    my ($name) = @_;
    open my $file, '<', $name or return "no file $name";
    local $/;
    return <$file>;
}
