#!/usr/bin/perl

# Tests for a master that is killed alone during an upgrade of nginx's binary, while its workers go on:
# they have the table of another size alone. Without it, the new nginx takes them for ended and frees
# that table under them, and their sessions meet the wrong server.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Binary;
use Sticky::Nginx;
use Sticky::Pages;
use Sticky::State;
use Sticky::Traffic;

my $t = Test::Nginx->new()->has(qw/http proxy/)->plan(16);

my $conf = sub {
    my ($size) = @_;
    return <<"EOC";

%%TEST_GLOBALS%%

worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    upstream u {
        sticky mode=query zone=u:$size;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  \$sticky_status  always;

        location / {
            proxy_pass http://u;
        }
    }
}

EOC
};

my $dir = $t->testdir();
configure('128k');
$t->run_daemon(\&handing_out, port(8080 + $_), (qw/ A B C /)[$_ - 1]) for 1 .. 3;
$t->waitforsocket('127.0.0.1:' . port($_)) for 8081 .. 8083;

# Whatever happens, none must stay.
my $owner = $$;
END { end_all($dir) if defined $owner && $owner == $$ }

ok(daemon_runs($t), 'nginx runs');

SKIP: {
skip 'this nginx cannot start itself again', 15 if !can_upgrade($t);

my %home = hand_out('/', 'first', 200);
my @visitors = map {
    my $n = $_;
    in_background(sub { return visitors("v$n", "$dir/stop", "$dir/count") });
} 1 .. 3;

# The old master is killed. Its workers take requests as before, and so do the new ones.

configure('256k');
my $old = upgraded($t);
ok($old, 'an upgrade');
my @orphans = workers_of($t, $old);
is(scalar @orphans, 2, 'of two workers');
kill 'KILL', $old;
ok(eventually(sub { !is_alive($old) }), 'the old master is killed');
housekeeping_passes();
is(scalar(grep { is_alive($_) } @orphans), 2, 'its workers go on');
%home = (%home, hand_out('/', 'second', 200));
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'all sessions hold') for 1 .. 3;
cmp_ok(tables(master($t)), '==', 2, 'both tables take memory');

# The next upgrade, with a third size, does not take them for ended either.

configure('512k');
my $new = upgraded($t);
ok($new, 'another upgrade');
my @new = workers_of($t, $new);
kill 'QUIT', $new;
ok(eventually(sub { !grep { is_alive($_) } $new, @new }), 'the nginx between has ended');
housekeeping_passes();
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'all sessions hold');

# They end.

kill 'QUIT', @orphans;
ok(eventually(sub { !grep { is_alive($_) } @orphans }), 'the old workers have ended');
ok(eventually(sub { tables(master($t)) == 1 }), 'one table takes memory');
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'all sessions hold');

$t->write_file('stop', '');
my ($requests, $astray, $failed) = (0, 0, '');
for (@visitors) {
    my $outcome = outcome($_);
    my ($all, $wrong) = $outcome =~ /^(\d+) (\d+)/;
    $failed .= " $outcome" if !defined $all || $wrong;
    $requests += $all // 0;
    $astray += $wrong // 0;
}
is($astray . $failed, '0', "none of $requests requests astray");

}

$t->finish();

# Debug messages of the event loop would be most of the work.
sub configure {
    $t->write_file_expand('nginx.conf', $conf->(@_));
    without_debug($t);
}

# Waits until visitors have been served for so long that the first worker has looked after its tables.
sub housekeeping_passes {
    my $seen = counted("$dir/count");
    select undef, undef, undef, 3;
    return eventually(sub { counted("$dir/count") > $seen + 100 });
}

# Whether a process is there and has not ended: who should see its end may be gone.
sub is_alive {
    my ($pid) = @_;
    open my $file, '<', "/proc/$pid/stat" or return 0;
    return (<$file> // '') !~ /\) [ZX] /;
}

# How many tables of the zone take memory in the workers of a master.
sub tables {
    my ($master) = @_;
    my ($worker) = workers_of($t, $master);
    return 0 if !defined $worker;
    open my $maps, '<', "/proc/$worker/smaps" or return 0;
    my ($name, $found) = ('', 0);
    while (<$maps>) {
        $name = $1 if /^[0-9a-f]+-[0-9a-f]+ .{4} \S+ \S+ \d+\s*(.*)$/;
        $found++ if $name =~ /^\/memfd:nginx-sticky:u\.\d+ / && /^Rss:\s+(\d+) kB/ && $1 > 0;
    }
    return $found;
}
