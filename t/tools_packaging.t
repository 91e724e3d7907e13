#!/usr/bin/perl

# Tests for what is packaged besides the module: that all files name one version, and that the bill of
# materials (tools/sbom) has what is in the module; without them a release has files of two versions, or
# says nothing of a crate that turns out to be dangerous.

use warnings;
use strict;

use Test::More;

use Cwd qw/ abs_path /;
use FindBin;
use JSON::PP;

my $top = abs_path("$FindBin::Bin/..");
plan(skip_all => 'not in the sources') unless -d "$top/packaging";
chdir $top or die "$top: $!\n";

my ($version) = text('Cargo.toml') =~ /^version = "(.*)"/m;
for (['fuzz/Cargo.toml', qr/^version = "(.*)"/m],
    ['fuzz/Cargo.lock', qr/^name = "sticky-fuzz"\nversion = "(.*)"/m],
    ['fuzz/Cargo.lock', qr/^name = "sticky-core"\nversion = "(.*)"/m],
    ['Cargo.lock', qr/^name = "ngx_http_sticky_rs"\nversion = "(.*)"/m],
    ['packaging/rpm/nginx-mod-http-sticky-rs.spec', qr/^Version: +(\S+)$/m],
    ['packaging/rpm/nginx-mod-http-sticky-rs.spec', qr/^%changelog\n\* .* - (\S+)-1$/m],
    ['packaging/pkg-oss/contrib/src/ngx_http_sticky_rs/version', qr/ := (\S+)$/m],
    ['packaging/pkg-oss/docs/nginx-module-sticky-rs.xml', qr/ ver="(.*?)"/],
    ['packaging/kubernetes/kustomization.yaml', qr/^ +newTag: (\S+)$/m]) {
    my ($file, $place) = @$_;
    is((text($file) =~ $place)[0], $version, $file);
}
like(text('CHANGELOG.md'), qr/^## \[(?:\Q$version\E|Unreleased)\]/m, 'CHANGELOG.md');

SKIP: {
    # The crates that are there: a test asks no registry.
    local $ENV{CARGO_NET_OFFLINE} = 'true';
    local $ENV{SOURCE_DATE_EPOCH} = 1_000_000_000;
    skip 'no cargo that has all crates', 8 if system("tools/sbom >/dev/null 2>&1") != 0;
    my $json = `tools/sbom`;
    is(`TZ=Asia/Tokyo LC_ALL=C tools/sbom`, $json, 'the same bytes again');
    my $bom = decode_json($json);
    is($bom->{metadata}{component}{version}, $version, 'of this version');
    is($bom->{metadata}{timestamp}, '2001-09-09T01:46:40Z', 'of the time that is given');

    my %scope = map { $_->{name} => $_->{scope} } @{ $bom->{components} };
    is("@scope{qw/ lol_html redis sticky-core /}", 'required required required', 'crates of the module');
    is("@scope{qw/ bindgen cc syn /}", 'excluded excluded excluded', 'crates that only its build runs');
    ok(!grep({ exists $scope{$_} } qw/ loom serde_json windows-sys nginx-src /), 'none of tests, and of other systems');
    is(join(' ', grep { !/\Asticky-(?:core|words)\z/ } map { $_->{name} }
        grep { !$_->{licenses} || !$_->{hashes} } @{ $bom->{components} }), '', 'each with licence and checksum');
    my %known = map { $_->{'bom-ref'} => 1 } @{ $bom->{components} }, $bom->{metadata}{component};
    is(join(' ', grep { !$known{$_} } map { ($_->{ref}, @{ $_->{dependsOn} }) } @{ $bom->{dependencies} }), '',
        'nothing is needed that is not listed');
}
done_testing();

sub text {
    my ($name) = @_;
    open my $file, '<', $name or die "$name: $!\n";
    local $/;
    return scalar <$file>;
}
