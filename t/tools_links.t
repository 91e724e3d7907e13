#!/usr/bin/perl

# Tests for tools/check-links, which make lint and make book run; without them a link of a page that
# leads nowhere passes, or one that is right does not.

use warnings;
use strict;

use Test::More;

use File::Copy qw/ copy /;
use File::Path qw/ make_path /;
use File::Temp qw/ tempdir /;
use FindBin;

my $tool = "$FindBin::Bin/../tools/check-links";
plan(skip_all => 'tools are not there') unless -x $tool;
plan(tests => 24);

# A small project, with nothing wrong in it.
my %right = (
    'README.md' => "# Name\n\n[docs](docs/README.md), [`a`](docs/a.md#two-words), [folder](conf), [me](#name)\n"
        . "[file](conf/x.conf) [away](https://a.example/#x) [wrapped\ntext](docs/a.md)\n"
        . "`[code](nowhere.md)`\n\n```\n[code](nowhere.md)\n# no heading\n```\n"
        . "<img src=\"docs/images/p.png\">\n",
    'docs/README.md' => "# Contents\n\n- [A](a.md)\n",
    'docs/a.md' => "# A\n\n## Two words\n\n## Two words\n\n### `state=FILE`, [a](../README.md) & more\n\n"
        . "[second](#two-words-1) [third](#statefile-a--more) [up](../README.md#name)\n",
    'docs/images/p.png' => '',
    'conf/x.conf' => "# see docs/a.md\n",
);
like(checked(), qr/^0 sticky: links of 3 pages lead somewhere$/, 'a project without faults');

for my $case (
    ['README.md', '[x](docs/b.md)', qr{README.md:13: docs/b.md: no such file}, 'a page that is not there'],
    ['README.md', '[x](docs/a.md#three)', qr{README.md:13: docs/a.md#three: no such heading}, 'a heading of another page'],
    ['README.md', '[x](#two-words)', qr{README.md:13: #two-words: no such heading}, 'a heading of this page'],
    ['README.md', '[x](#no-heading)', qr{#no-heading: no such heading}, 'a comment in code is no heading'],
    ['README.md', '[x](../README.md)', qr{\.\./README.md: leads out of the project}, 'out of the project'],
    ['README.md', '[x](conf/x.conf#a)', qr{conf/x.conf#a: a file of this kind has no anchors}, 'an anchor in a file'],
    ['README.md', "[x][y]\n\n[y]: docs/c.md", qr{README.md:15: docs/c.md: no such file}, 'a reference'],
    ['README.md', '<source srcset="docs/images/q.png">', qr{docs/images/q.png: no such file}, 'a picture'],
    ['docs/a.md', '[x](docs/a.md)', qr{docs/a.md:10: docs/a.md: no such file}, 'as if from the top'],
    ['docs/b.md', '# B', qr{docs/README.md:1: b.md is not in the table of contents}, 'a page that is not listed'],
    ['conf/x.conf', '# see docs/gone.md', qr{conf/x.conf:2: docs/gone.md: no such file}, 'a page that a comment names'],
) {
    my ($file, $line, $says, $what) = @$case;
    my $said = checked($file => ($right{$file} // '') . "$line\n");
    like($said, $says, $what);
    is($said =~ /^1 / && $said =~ tr/\n//, 1, "$what: fails, and says nothing else");
}

my $site = tempdir(CLEANUP => 1);
my %html = ('index.html' => '<a href="a/">A</a> <a href="a/index.html#x">X</a>', 'a/index.html' => '<h1 id="x">X</h1>');
write_all($site, %html, 'a/y.html' => '<a href="index.html#z">Z</a> <img src="p.png">');
my $said = `'$tool' '$site' 2>&1`;
is($said, "sticky: a/y.html:1: index.html#z: no such heading\nsticky: a/y.html:1: p.png: no such file\n",
    'a site: its faults, and no others');

# The exit status and what is said of the project with one file changed.
sub checked {
    my (%changed) = @_;
    my $dir = tempdir(CLEANUP => 1);
    write_all($dir, %right, %changed);
    make_path("$dir/tools");
    copy($tool, "$dir/tools/check-links") or die "check-links: $!\n";
    my $said = `perl '$dir/tools/check-links' 2>&1`;
    return ($? >> 8) . " $said";
}

sub write_all {
    my ($dir, %text) = @_;
    for my $name (keys %text) {
        make_path("$dir/$name" =~ s{/[^/]*\z}{}r);
        open my $out, '>', "$dir/$name" or die "$name: $!\n";
        print $out $text{$name};
        close $out;
    }
}
