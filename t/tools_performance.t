#!/usr/bin/perl

# Tests for tools/performance, which puts what benchmarks print into docs/performance.md, and for
# tools/check-instructions, which compares with it; without them the page may say what was not measured,
# or a request may become dearer and nobody is told. No benchmark is run.

use warnings;
use strict;

use Test::More;

use File::Temp qw/ tempdir /;
use FindBin;

my $top = "$FindBin::Bin/..";
plan(skip_all => 'tools are not there') unless -x "$top/tools/performance";

my $dir = tempdir(CLEANUP => 1);
my $page = "$dir/page.md";
my @benches = map { /^(\S+)/ } split /\n/, `'$top/tools/performance' --list`;

# What is on the page has a place in it.
my $real = text("$top/docs/performance.md");
for my $name (@benches) {
    my $count = () = $real =~ /^<!-- bench \Q$name\E -->\n.*?^<!-- end \Q$name\E -->\n/msg;
    is($count, 1, "the page has a place for $name");
}
is_deeply([sort $real =~ /^<!-- bench (\S+) -->$/mg], [sort @benches], 'and for nothing else');

my $words = "# A page\n\n<!-- bench pages -->\nold\n<!-- end pages -->\n\nWords, <!-- bench instructions -->\n";
my $pages = sub {
    my (%figures) = @_;
    return "nginx 1.22.1, under callgrind of valgrind 3.19.0; instructions per KB\n\n"
        . "| page | html | sub_filter | ratio | module's own |\n|---|---:|---:|---:|---:|\n"
        . join('', map { "| $_ | 1,100 | 6,000 | 0.17 | " . ($figures{$_} // '1,000') . " |\n" } 'a' .. 'i')
        . "\n| reader | answer | per KB | goal |\n|---|---:|---:|---:|\n"
        . join '', map { "| reader $_ | 900 | 300 | 400, met |\n" } 1 .. 13;
};

put($page, $words);
put("$dir/pages.out", $pages->());
like(performance('pages'), qr/has what was printed by: pages/, 'put in');
my $now = text($page);
like($now, qr/\A# A page\n\n<!-- bench pages -->\n\nnginx 1.22.1, .*KB\n\n\| page .*\| i \| 1,100 .*\| reader 13 .*\n\n<!-- end pages -->\n\nWords, <!-- bench instructions -->\n\z/s,
    'between its marks, and nothing else has changed');
unlike($now, qr/old/, 'what was there before is gone');
performance('pages');
is(text($page), $now, 'the same once more');

put("$dir/pages.out", $pages->() =~ s/^\| i /| j /mr);
like(performance('pages'), qr/new: j\n.*no more: i\n/s, 'says which rows are new, and which are gone');

# Of one that prints more than the page shows, the tables that it shows.
my $worst = join '', map { "| `$_` | 5 | 6 |\n" } 'a' .. 'j';
put($page, "<!-- bench worst -->\n<!-- end worst -->\n");
put("$dir/worst.out", "reader  instr/KB\nhtml  5\n\n| reader | worst | bound |\n|---|---:|---:|\n$worst\n| other |\n|---|\n| 1 |\n");
performance('worst');
is(text($page), "<!-- bench worst -->\n\n| reader | worst | bound |\n| --- | ---: | ---: |\n$worst\n<!-- end worst -->\n",
    'the table that is wanted');
put($page, $now);

my %refused = (
    'nothing was printed' => ['', qr/expected 1 table with the columns "page".* none/],
    'another column' => [$pages->() =~ s/ratio/share/r, qr/expected 1 table with the columns/],
    'too few rows' => [$pages->() =~ s/^\| i .*\n//mr, qr/a table of 8 rows: expected 9/],
    'a row that is cut off' => [$pages->() =~ s/^(\| i \| 1,100).*/$1 |/mr, qr/a row with 2 columns: i/],
);
for my $what (sort keys %refused) {
    my ($output, $why) = @{ $refused{$what} };
    my $before = text($page);
    put("$dir/pages.out", $output);
    like(performance('pages'), qr/pages: $why.*nothing is written/s, "refused: $what");
    is(text($page), $before, 'the page is as it was');
}
like(performance('instructions'), qr/nothing was kept: expected \S+instructions.out/, 'refused: not run');
put("$dir/pages.out", $pages->());
put($page, "# A page\n");
like(performance('pages'), qr/expected one "<!-- bench pages -->"/, 'refused: no place for it');

# A page with figures, and what was measured.
my $requests = sub {
    my ($hit, @more) = @_;
    return "nginx 1.22.1, under callgrind of valgrind 3.19.0; 60 requests of each\n\n"
        . "| what | least | median | greatest | module's own | goal |\n|------|--:|--:|--:|--:|--:|\n"
        . "| query: hit | 700 | 765 | 1,321 | $hit | 700, missed |\n| loaded | | | | 0 | 60, met |\n"
        . join '', @more;
};
put($page, "<!-- bench instructions -->\n\n" . $requests->('889')
    . "\n<!-- end instructions -->\n<!-- bench pages -->\n\n" . $pages->() . "\n<!-- end pages -->\n");
my %checked = (
    'the same' => [$requests->('889'), 0, qr/^2 rows fit/],
    'a little dearer' => [$requests->('906'), 0, qr/^2 rows fit/],
    'dearer' => [$requests->('907'), 1, qr/^query: hit: dearer: 907, on the page 889: \+18, 18 either/],
    'dearer by 15, more than 2 %' => [$requests->('889') =~ s/ 0 \| 60/ 15 | 60/r, 0, qr/^2 rows fit/],
    'dearer by 16' => [$requests->('889') =~ s/ 0 \| 60/ 16 | 60/r, 1, qr/^loaded: dearer: 16, on the page 0/],
    'cheaper' => [$requests->('800'), 0, qr/^query: hit: cheaper: 800.*rows fit/s],
    'a row that is not on the page' => [$requests->('889', "| query: miss | 1 | 1 | 1 | 1 | |\n"), 1,
        qr/^query: miss: measured, but not on the page/],
    'a row that was not measured' => [$requests->('889') =~ s/^\| loaded.*\n//mr, 1,
        qr/^loaded: on the page, but not measured/],
    'the same, its conditions in two lines' => [$requests->('889') =~ s/callgrind of/callgrind\nof/r, 0, qr/^2 rows fit/],
    'another compiler' => [$requests->('950') =~ s/under/built by rustc 1.99.0, under/r, 0, qr/Not compared.*rustc 1.99.0/s],
    'another nginx' => [$requests->('889') =~ s/1.22.1/1.28.0/r, 2, qr/figures of nginx 1.22.1, .* 1.28.0/],
    'nothing' => ['', 2, qr/no table of instructions/],
    'no number' => [$requests->('many'), 2, qr/no number in the row: \| query: hit/],
    'pages, the same' => [$pages->(), 0, qr/^9 rows fit/],
    'a page that is a little dearer' => [$pages->(c => '1,020'), 0, qr/^9 rows fit/],
    'a page of 1 MB' => [$pages->() =~ s/^\| i .*\n\K/| 1024 KB, with ids | 9 | 9 | 9 | 9,000 |\n/mr, 0, qr/^9 rows fit/],
    'a dearer page' => [$pages->(c => '1,021'), 1, qr/^c: dearer: 1021, on the page 1000/],
);
for my $what (sort keys %checked) {
    my ($output, $status, $said) = @{ $checked{$what} };
    put("$dir/measured", $output);
    my $answer = `'$top/tools/check-instructions' '$page' '$dir/measured' 2>&1`;
    is($? >> 8, $status, "checked: $what");
    like($answer =~ s/^sticky: //r, $said, 'and said');
}

done_testing();

sub performance {
    my (@names) = @_;
    return scalar `'$top/tools/performance' --keep '$dir' --page '$page' @names 2>&1`;
}

sub text {
    my ($path) = @_;
    open my $file, '<', $path or die "$path: $!";
    local $/;
    return scalar(<$file>) // '';
}

sub put {
    my ($path, $text) = @_;
    open my $file, '>', $path or die "$path: $!";
    print {$file} $text;
    close $file;
}
