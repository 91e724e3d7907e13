#!/usr/bin/perl

# Tests for tools/book-source, the source of the site that make book makes; without them a page may be
# missing from it, or a link of a page lead to what is not in it. mdBook itself is not run here.

use warnings;
use strict;

use Test::More;

use File::Basename qw/ dirname /;
use File::Temp qw/ tempdir /;
use FindBin;

my $top = "$FindBin::Bin/..";
plan(skip_all => 'tools are not there') unless -x "$top/tools/book-source";
plan(tests => 7);

my $dir = tempdir(CLEANUP => 1) . '/src';
is(`'$top/tools/book-source' '$dir' 2>&1`, '', 'made');

my @chapters = text('SUMMARY.md') =~ /\]\(([^)]+)\)/g;
my %is_chapter = map { $_ => 1 } @chapters;
my @pages = grep { !/README/ } map { s{.*/}{docs/}r } glob "$top/docs/*.md";
cmp_ok(scalar @pages, '>', 15, 'pages: ' . @pages);
is_deeply([grep { !$is_chapter{$_} } @pages, map { "$_.md" } qw{ index docs/index }], [], 'each is a chapter');
is_deeply([grep { !-f "$dir/$_" } @chapters], [], 'and there');
cmp_ok(scalar(() = text('SUMMARY.md') =~ /^# /mg), '>', 5, 'in parts');

my (@broken, $count);
for my $page (@chapters) {
    my $text = text($page) =~ s/^```.*?^```//msgr =~ s/`[^`]*`//gr;
    for my $link ($text =~ /(?:\]\(|\s(?:src|srcset)=")([^)\s"#]+)/g) {
        next if $link =~ /\A[a-z]+:/;
        $count++;
        my $target = "$dir/" . dirname($page) . "/$link";
        push @broken, "$page: $link" unless -f $target;
        # mdBook makes .html of what is a chapter alone.
        push @broken, "$page: $link is no chapter" if $link =~ /\.md\z/ && $link =~ /README/;
    }
}
is_deeply(\@broken, [], 'each link leads to a file of the site');
cmp_ok($count, '>', 100, "which are $count");

sub text {
    my ($name) = @_;
    open my $file, '<', "$dir/$name" or die "$name: $!\n";
    local $/;
    return scalar <$file>;
}
