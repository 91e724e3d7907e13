#!/usr/bin/perl

# Tests for docs/directives.md and docs/variables.md; without them a directive, a parameter or a
# variable that the module has may be in no page, and so in no manual page.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Configuration qw/ prepare verdict verdict_on_upstream /;
use Sticky::Readme qw/ text /;

my $top = "$FindBin::Bin/..";
my $page = text("$top/docs/directives.md");
my %section = $page =~ /^## ([^\n]*)\n(.*?)(?=^## |\z)/msg;
my %syntax = map { ($_ => $section{$_} =~ /^    Syntax: (.*?)^    Default:/ms) } grep { /^(?:sticky|server)/ } keys %section;

# What nginx says of a word that is no parameter is the list of those that are.
my %asked = (
    'sticky mode=query' => sub { verdict_on_upstream($_[0], 'sticky mode=query no=1;') },
    'sticky [mode=cookie]' => sub { verdict_on_upstream($_[0], 'sticky mode=cookie no=1;') },
    'sticky mode=rewrite' => sub { verdict_on_upstream($_[0], 'sticky mode=rewrite no=1;') },
    'sticky_statsd' => sub { verdict($_[0], 'sticky_statsd 127.0.0.1:1 no=1;') },
    'sticky_status' => sub {
        verdict($_[0], 'server { listen 127.0.0.1:8080; location / { sticky_status no=1; } }');
    },
);
# Each word of from= and learn= has a row in a table.
my %words = (
    from => sub { verdict_on_upstream($_[0], 'sticky mode=query from=no;') },
    learn => sub { verdict_on_upstream($_[0], 'sticky mode=query learn=no;') },
);

my $t = prepare(Test::Nginx->new()->has(qw/ http proxy /)->plan(8 + keys(%asked) + keys(%words)));

for my $directive (sort keys %asked) {
    my @names = map { /^(\w+)/ } listed($asked{$directive}->($t));
    my @missing = grep { $syntax{$directive} !~ /(?<!\w)\Q$_\E\b/ } @names;
    ok(@names && !@missing, "$directive: each of " . @names . ' parameters in its syntax') or diag("@missing");
}
for my $parameter (sort keys %words) {
    my @words = listed($words{$parameter}->($t));
    my @missing = grep { my $word = $_ =~ s/VARIABLE/variable/r; $section{'sticky mode=query'} !~ /`\Q$word\E`/ } @words;
    ok(@words > 8 && !@missing, "$parameter=: each of " . @words . ' words') or diag("@missing");
}
my @cluster = map { /^(\w+)/ } listed(verdict($t, 'sticky_cluster redis://127.0.0.1/ no=1;'));
my $cluster = text("$top/docs/cluster.md");
is(join(' ', grep { $cluster !~ /^\|[^|]*`\Q$_\E=/m } @cluster), '', 'sticky_cluster: each parameter in cluster.md');
cmp_ok(scalar @cluster, '>', 5, 'which are ' . @cluster);

# Those that nginx has, and that are looked at alone: keepalive; fair and session_sticky, to refuse them.
my %not_ours = map { $_ => 1 } qw/ keepalive fair session_sticky /;
my @directives = grep { !$not_ours{$_} } text("$top/src/module/commands.rs") =~ /^ +c"(\w+)",$/mg;
is(join(' ', grep { my $name = $_; !grep { /(?<!\w)\Q$name\E\b/ } values %syntax } @directives), '',
    'each directive has a section');
cmp_ok(scalar @directives, '>', 8, 'which are ' . @directives);
is(join(' ', grep { $section{$_} !~ /^    Syntax: .*^    Default: .*^    Context: /ms } keys %syntax), '',
    'with syntax, default and context');

my @variables = text("$top/src/module/variables.rs") =~ /^ +(?:\(\s*)?&b"(\w+)"/mg;
my $variables = text("$top/docs/variables.md");
is(join(' ', grep { $variables !~ /^## \$\Q$_\E$/m } @variables), '',
    'each variable is explained');
cmp_ok(scalar @variables, '>', 8, 'which are ' . @variables);

# The manual page, where pandoc is installed.
SKIP: {
    skip 'no pandoc', 1 unless grep { -x "$_/pandoc" } File::Spec->path();
    my $file = $t->testdir() . '/manual.5';
    my $said = `$top/tools/man '$file' 2>&1`;
    my $manual = $said eq '' ? text($file) =~ s/\\-/-/gr : '';
    is(join(' ', $said, grep { $manual !~ /\Q$_\E/ } @directives, @variables), '', 'and all of it in the manual page');
}

sub listed { return $_[0] =~ /expected(.*)/ ? $1 =~ /"([^"]+)"/g : () }
