#!/usr/bin/perl

# Tests for the counters of upstreams over an upgrade of nginx's binary, with the same zone and with a
# larger one, and on the way back: without it, what both count while they serve side by side is lost,
# or begins at zero.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Binary;
use Sticky::Counters;
use Sticky::Pages;
use Sticky::State;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite map /)->plan(11);

my $conf = sub {
    my ($more) = @_;
    return <<"EOC";

%%TEST_GLOBALS%%

worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    upstream u {
        sticky mode=query zone=z:64k;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }
    $more

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  \$sticky_status  always;

        location / {
            proxy_pass http://u;
        }

        location /sticky { sticky_status; }
    }
}

EOC
};

my $dir = $t->testdir();
$t->write_file_expand('nginx.conf', $conf->(''));
apart($t);

# Whatever happens, none must stay.
my $owner = $$;
END { end_all($dir) if defined $owner && $owner == $$ }

ok(daemon_runs($t), 'nginx runs');

SKIP: {
skip 'this nginx cannot start itself again', 10 if !can_upgrade($t);

my $start = sums();
my $home = get('/', 'X-Page' => link_to('a'));
my $peer = '127.0.0.1:' . port(served_by($home) eq 'A' ? 8081 : 8082);
my $hits = 0;

# Two nginx side by side, which take requests in turn, then the new one alone.

my $old = upgraded($t);
ok($old, 'an upgrade');
is(counted(20), expected(), 'both count in the same zone');
my ($new) = master($t);
my @old = workers_of($t, $old);
kill 'WINCH', $old;
ok(all_gone(@old), 'the workers of the old one have ended');
is(counted(5), expected(), 'the new one goes on');

# The way back.

my @new = workers_of($t, $new);
kill 'HUP', $old;
eventually(sub { workers_of($t, $old) == 2 });
kill 'QUIT', $new;
ok(all_gone($new, @new), 'the new one has ended');
eventually(sub { -e "$dir/nginx.pid" });
is(counted(5), expected(), 'the old one goes on');

# One with more upstreams than there is room for.

my $more = join "\n", map { "upstream more$_ { sticky; server 127.0.0.1:8081; }" } 1 .. 60;
$t->write_file_expand('nginx.conf', $conf->($more));
is(upgraded($t), $old, 'another one, with a larger zone');
@old = workers_of($t, $old);
kill 'QUIT', $old;
ok(all_gone($old, @old), 'the old one has ended');
my $sums = sums();
is(scalar keys %$sums, 61, 'all upstreams are counted');
is(counted(5), expected(), 'what was counted is kept');

# What was counted since the start, after so many requests more.
sub counted {
    my ($more) = @_;
    get('/?sid=a') for 1 .. $more;
    $hits += $more;
    my $counted;
    eventually(sub {
        $counted = added($start, sums(), 'u');
        return $counted eq expected();
    });
    return $counted;
}

sub expected { return "HIT=$hits NEW=1 learned/html=1 $peer=$hits" }
}
