#!/usr/bin/perl

# Tests for the version of the module: in its file, in one notice when nginx starts, in
# $sticky_version; without it nobody knows which module a running nginx has, as a reload keeps the old
# one, and which nginx a file is for.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Binary;
use Sticky::Nginx;
use Sticky::State;

my $t = Test::Nginx->new()->has(qw/ http rewrite /)->plan(12);
my $dir = $t->testdir();

my $conf = <<'EOC';

%%TEST_GLOBALS%%

worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        return       200 "$sticky_version $nginx_version";
    }
}

EOC

$t->write_file_expand('nginx.conf', $conf);
my ($wanted) = text("$FindBin::Bin/../Cargo.toml") =~ /^version = "(.*)"/m;

# Whatever happens, none must stay.
my $owner = $$;
END { end_all($dir) if defined $owner && $owner == $$ }

my ($status, $said) = tested();
is($status, 0, 'nginx -t') or diag($said);
unlike($said . $t->read_file('error.log'), qr/sticky:/, 'says nothing of the version');

ok(daemon_runs($t), 'runs');
my ($version, $nginx) = get('/') =~ /\x0d\n\x0d\n(\S+) (\S+)/;
is($version, $wanted, '$sticky_version is that of Cargo.toml');
my @said = notices();
is(scalar @said, 1, 'one line at the start, whatever the number of workers');
like($said[0], qr/^\S+ \S+ \[notice\] \d+#\d+: sticky: module version \Q$version\E, built for \w+\/\Q$nginx\E$/,
    'says the version, and the nginx');

my @old = workers($t);
kill 'HUP', master($t);
ok(all_gone(@old) && eventually(sub { scalar workers($t) == 2 }), 'a reload');
is(scalar notices(), 1, 'keeps the file and says nothing');

SKIP: {
    skip 'this nginx cannot start itself', 2 unless can_upgrade($t);
    ok(upgraded($t), 'an upgrade to the file that is there now');
    is(scalar notices(), 2, 'says it again');
}

SKIP: {
    my ($module) = $ENV{TEST_NGINX_GLOBALS} =~ /load_module (\S+);/;
    skip 'the module is linked into nginx', 2 unless $module;
    my @texts = text($module) =~ /^(ngx_http_sticky_rs\/.*)$/mg;
    is("@texts", "ngx_http_sticky_rs/$version for " . ($said[0] =~ /built for (.*)$/)[0], 'in the file');
    like(text($module), qr/\0ngx_http_sticky_rs_version\0/, 'under a name that it exports');
}

# Lines of the log that tell the version.
sub notices { return grep { /sticky: module version/ } split /\n/, $t->read_file('error.log') }

# nginx -t: its exit status and what it says.
sub tested {
    my $said = `$ENV{TEST_NGINX_BINARY} -t -p '$dir/' -c nginx.conf -e error.log 2>&1`;
    return ($? >> 8, $said);
}

sub text {
    my ($name) = @_;
    open my $file, '<:raw', $name or die "Can't open $name: $!";
    local $/;
    return scalar <$file>;
}
