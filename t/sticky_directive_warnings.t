#!/usr/bin/perl

# Tests for warnings about a configuration that is accepted; without these an operator learns from
# lost sessions that zone=off is for one worker, or that nobody may write the state file.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Configuration qw/ prepare verdict verdict_on_upstream /;

my $in = 'in "sticky" directive';
my $find = '"sticky" directive finds no session:';
my $guessed = 'bytes and may be guessed, expected at least 16 random ones';
my $host = 'expected a host name without scheme, port and path, as in "example.com"';

my @warned = (
    ['hmac=sha256 hmac_key=secret' => qq{the key of "hmac" $in has 6 $guessed}],
    ['hmac=sha256 hmac_key_file=key' => qq{the key of "hmac" $in has 5 $guessed}],
    ['mode=rewrite hmac=md5 hmac_key=k' => qq{the key of "hmac" $in has 1 $guessed}],
    ['path=shop' => qq{"path=shop" $in is ignored by browsers,}
        . ' expected a path that begins with "/"'],
    ['domain=https://a.example' =>
        qq{a cookie with "domain=https://a.example" $in is dropped by browsers, $host}],
    ['domain=a.example:80' =>
        qq{a cookie with "domain=a.example:80" $in is dropped by browsers, $host}],
    ['mode=query from=cookie learn=html' =>
        qq{$find "from=cookie" takes the id from a cookie, but "learn" reads none,}
        . ' expected "learn=cookie"'],
    ['mode=query learn=cookie from=query' =>
        qq{$find "learn=cookie" takes the id from a cookie, but "from" reads none,}
        . ' expected "from=cookie"'],
    ['mode=query name=jsessionid' => qq{"name=jsessionid" $in does not find the cookie "JSESSIONID",}
        . ' as case matters but in paths, expected "name=JSESSIONID"'],
);

my @silent = (
    'hmac=sha256 hmac_key=1234567890123456', 'path=$prefix', 'domain=.$host',
    'mode=query from=cookie', 'mode=query from=cookie learn=cookie', 'mode=query name=JSESSIONID',
    'mode=query name=jsessionid from=path', 'mode=query from=cookie learn=json',
    'mode=query learn=cookie,text', 'mode=query zone=off', 'mode=query state=x',
);

my $t = Test::Nginx->new()->has(qw/ http rewrite map /)->plan(@warned + @silent + 5 + 4 + 6);
my $dir = $t->testdir();

$t->write_file('key', "short\n");
prepare($t);
my $conf = $t->read_file('nginx.conf');

sub warning { return "nginx: [warn] $_[0] in case.conf:2\n" }

for my $case (@warned) {
    my ($words, $message) = @$case;
    is(verdict_on_upstream($t, "sticky $words;"), warning($message), "warned: $words");
}

my $map = "map \$uri \$prefix {\n    default /;\n}\n";
for my $words (@silent) {
    is(verdict($t, "upstream u {\n    sticky $words;\n    server 127.0.0.1:9;\n}\n$map"), '',
        "no warning: $words");
}

# Servers with one route.

my $shared = 'is that of another server, too: "sticky" cannot tell their sessions apart, upstream "u"';
my @servers = map { "server 127.0.0.1:900$_ route=" . ($_ == 2 ? 'b;' : 'a;') } 1 .. 4;
my $routes = join '', map { qq{nginx: [warn] "route=a" $shared in case.conf:$_\n} } 5, 6;
is(verdict_on_upstream($t, 'sticky mode=query;', @servers), $routes, 'one route, mode=query');
is(verdict_on_upstream($t, @servers, 'sticky mode=query;'), $routes =~ s/:(\d)$/':' . ($1 - 1)/gmre,
    'one route, sticky behind');
# Newer versions of nginx carry out this form themselves.
is(verdict_on_upstream($t, 'sticky route $arg_a;', @servers), $t->has_version('1.29.6') ? '' : $routes,
    q{one route, nginx's own form});
is(verdict_on_upstream($t, 'sticky;', @servers), '', 'mode=cookie knows no routes');
is(verdict_on_upstream($t, 'sticky mode=query;', @servers[0, 1]), '', 'two routes');

# What other directives decide, wherever they stand.

my $one = 'each knows only the sessions that it has learned itself, expected "worker_processes 1"'
    . ' or a zone, upstream "u"';

for my $place ('before', 'behind') {
    $t->write_file('nginx.conf', $place eq 'before' ? "worker_processes 3;\n$conf"
        : "$conf\nworker_processes 3;\n");
    is(verdict_on_upstream($t, 'sticky mode=query zone=off;'),
        warning(qq{"zone=off" $in with 3 worker processes: $one}),
        "zone=off, worker_processes $place");
}
$t->write_file('nginx.conf', "worker_processes 1;\n$conf");
is(verdict_on_upstream($t, 'sticky mode=query zone=off;'), '', 'one worker');
$t->write_file('nginx.conf', "worker_processes 3;\nmaster_process off;\n$conf");
is(verdict_on_upstream($t, 'sticky mode=query zone=off;'), '', 'no worker');

SKIP: {
    skip 'only root has workers of another user', 6 if $>;

    my ($user, $group) = (getpwnam 'nobody')[2, 3];
    my $name = getgrgid $group;
    my $nobody = $conf =~ s/^user root;/user nobody $name;/mr;
    $nobody = "user nobody $name;\n$conf" if $nobody eq $conf;
    $t->write_file('nginx.conf', $nobody);
    chmod 0755, $dir;
    mkdir "$dir/kept";

    my $state = sub { return verdict_on_upstream($t, 'sticky mode=query state=kept/x;') };
    my $refused = warning(qq{the user of the worker processes, "nobody", cannot write the directory}
        . qq{ "kept" of "state" $in, expected one of its own: install -d -o nobody -m 0700 kept/sticky,}
        . ' and "state=kept/sticky/x"');

    chmod 0755, "$dir/kept";
    is($state->(), $refused, 'the directory of root');
    chmod 0770, "$dir/kept";
    is($state->(), $refused, 'of a group of root');
    chown $user, 0, "$dir/kept";
    chmod 0570, "$dir/kept";
    is($state->(), $refused, 'its own, but not to be written');
    chown 0, 0, "$dir/kept";
    chmod 0755, "$dir/kept";
    system('install', '-d', '-o', 'nobody', '-m', '0700', "$dir/kept/sticky");
    is(verdict_on_upstream($t, 'sticky mode=query state=kept/sticky/x;'), '', 'its own, by the command');
    chown 0, $group, "$dir/kept";
    chmod 0770, "$dir/kept";
    is($state->(), '', q{its group's});
    chown 0, 0, "$dir/kept";
    chmod 0777, "$dir/kept";
    is($state->(), '', 'everybody may write');
}
