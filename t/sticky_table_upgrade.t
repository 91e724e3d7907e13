#!/usr/bin/perl

# Tests for an upgrade of nginx's binary under load, forwards and on the way back: the new nginx has
# the same table in the same memory, or, with a zone of another size, both. Without it, sessions that
# begin while two nginx serve meet the wrong server, some of them for good.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Binary;
use Sticky::Nginx;
use Sticky::Pages;
use Sticky::State;
use Sticky::Traffic;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(49);

# Processes are killed.
$t->todo_alerts();

my $conf = sub {
    my (%change) = (size => '128k', parameters => '', more => '', @_);
    return <<"EOC";

%%TEST_GLOBALS%%

worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    upstream u {
        sticky mode=query zone=u:$change{size} $change{parameters};
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }
    upstream slow {
        sticky mode=query zone=u;
        server 127.0.0.1:8086;
        server 127.0.0.1:8087;
    }
    $change{more}
    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  \$sticky_status  always;

        # Pieces of a response pass as they come.
        postpone_output 0;
        proxy_buffering off;

        location /slow {
            proxy_pass http://slow;
        }

        location / {
            proxy_pass http://u;
        }
    }
}

EOC
};

my $other = 'upstream other { sticky mode=query zone=other:64k; server 127.0.0.1:8081; }';
my $dir = $t->testdir();
configure(more => $other);

$t->run_daemon(\&handing_out, port(8080 + $_), (qw/ A B C /)[$_ - 1]) for 1 .. 3;
$t->run_daemon(\&scripted, port(8086), 'A', $dir);
$t->run_daemon(\&scripted, port(8087), 'B', $dir);
$t->waitforsocket('127.0.0.1:' . port($_)) for 8081 .. 8083, 8086, 8087;

# Whatever happens, none must stay.
my $owner = $$;
END { end_all($dir) if defined $owner && $owner == $$ }

ok(daemon_runs($t), 'nginx runs');

SKIP: {
skip 'this nginx cannot start itself again', 48 if !can_upgrade($t);

my %home;

# Without a state file, with one, and with a zone of another size in the new nginx.

for (
    ['without state=', '128k', ''],
    ['with state=',    '128k', 'state=u.state'],
    ['a larger zone',  '256k', 'state=u.state'],
    ['a smaller zone', '128k', ''],
) {
    my ($what, $size, $parameters) = @$_;
    my $name = $what =~ s/\W//gr;
    my ($stop, $count) = ("$dir/stop$name", "$dir/count$name");
    my @visitors = map {
        my $n = $_;
        in_background(sub { return visitors("$name$n", $stop, $count) });
    } 1 .. 3;
    # So many requests more.
    my $on = sub {
        my $seen = counted($count);
        return eventually(sub { counted($count) > $seen + 100 });
    };
    $on->();

    # The zone of the other upstream is gone in the new one, and of no use to it.
    configure(size => $size, parameters => $parameters);
    my $old = upgraded($t);
    $on->();
    my @old = workers_of($t, $old);
    kill 'WINCH', $old;
    ok(all_gone(@old), "$what: the workers of the old nginx have ended");
    $on->();

    # The way back.
    my $new = master($t);
    my @new = workers_of($t, $new);
    kill 'HUP', $old;
    eventually(sub { workers_of($t, $old) == 2 });
    $on->();
    kill 'QUIT', $new;
    ok(all_gone($new, @new), "$what: the new one has ended");
    $on->();

    # And forwards again, for good.
    is(upgraded($t), $old, "$what: another one");
    $on->();
    @old = workers_of($t, $old);
    kill 'QUIT', $old;
    ok(all_gone($old, @old), "$what: the old one has ended");
    $on->();

    $t->write_file("stop$name", '');
    my ($requests, $astray, $failed) = (0, 0, '');
    for (@visitors) {
        my $outcome = outcome($_);
        my ($all, $wrong, $first) = $outcome =~ /^(\d+) (\d+) (.*)/;
        $failed .= " $outcome" if !defined $all || $wrong;
        $requests += $all // 0;
        $astray += $wrong // 0;
    }
    cmp_ok($requests, '>', 500, "$what: $requests requests");
    is($astray . $failed, '0', "$what: none of them astray");
    %home = (%home, hand_out('/', "left$name", 50));
    is(differing(\%home, { bring_back('/', keys %home) }), 0, "$what: all sessions hold");
}

# A reload with another size in an nginx that has replaced another one, which is gone; and an upgrade
# while an old worker of that reload still answers a request. What that worker learns then, the new
# nginx knows; and what the new one moves, stays.

my $script = script("Content-Type: text/html\x0d\x0a\x0d\x0a<html>", \'?golate', "<a href='?sid=late'>",
    \'*');
my $client = http("GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    . "X-Script: $script\r\n\r\n", start => 1);
read_until($client, qr/<html>/);
my $first = master($t);
my @first = workers_of($t, $first);
configure(size => '512k');
kill 'HUP', $first;
ok(eventually(sub { workers_of($t, $first) >= 3 }), 'a reload, and an old worker that stays');
stopped_listening(@first);
is(upgraded($t), $first, 'an upgrade meanwhile');
kill 'WINCH', $first;
my ($old) = grep { kill 0, $_ } @first;
eventually(sub { 1 == workers_of($t, $first) });
is(status(get('/slow?sid=late')), 'MISS', 'an id that was not handed out');
$t->write_file('golate', '');
read_until($client, qr/sid=/);
is(status(get('/slow?sid=late')), 'HIT', 'what the old worker has learned, the new nginx knows');
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'all sessions hold');
close $client;
ok(all_gone($old), 'the old worker has ended');
kill 'QUIT', $first;
ok(all_gone($first), 'and the old nginx');
ok(eventually(sub {
    my $worker = (workers_of($t, master($t)))[0];
    return 1 == grep { $_ > 0 } mappings($worker);
}), 'one table takes memory');
is(status(get('/slow?sid=late')), 'HIT', 'all sessions hold');

# What the two have in common, is open in masters alone, and there what they use themselves.

my ($new) = master($t);
@first = workers_of($t, $new);
kill 'HUP', $new;
ok(all_gone(@first), 'a reload');
is(join(' ', sort(files_of($new))), 'sticky/counters u', 'the master has the files of its zones');
is(join(' ', map { files_of($_) } workers_of($t, $new)), '', 'no worker has one');

# A configuration that is tested meanwhile has nothing to do with it.

configure(size => '64k');
is(system($ENV{TEST_NGINX_BINARY}, '-t', '-q', '-p', $dir, '-c', 'nginx.conf',
    '-e', "$dir/test.log"), 0, 'nginx -t');
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'all sessions hold');

# The new nginx cannot start.

configure(more => 'nonsense;');
my $master = master($t);
kill 'USR2', $master;
ok(eventually(sub { $t->read_file('error.log') =~ /unknown directive "nonsense"/ }), 'a new one that fails');
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'all sessions hold');

# The old one is killed, with all its workers, and so is the new one's first worker.

configure();
ok(eventually(sub { !-e "$dir/nginx.pid.oldbin" }), 'it has left');
is(upgraded($t), $master, 'another one');
kill 'KILL', $master, workers_of($t, $master);
my ($killed) = workers_of($t, master($t));
kill 'KILL', $killed;
ok(eventually(sub { 2 == workers_of($t, master($t)) }), 'the old one is killed');
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'all sessions hold');

}

$t->finish();

# Debug messages of the event loop would be most of the work.
sub configure {
    $t->write_file_expand('nginx.conf', $conf->(@_));
    without_debug($t);
}

# The tables that a process has mapped, each with the KB that it takes.
sub mappings {
    my ($pid) = @_;
    open my $maps, '<', "/proc/$pid/smaps" or return;
    my ($name, @sizes) = ('');
    while (<$maps>) {
        $name = $1 if /^[0-9a-f]+-[0-9a-f]+ .{4} \S+ \S+ \d+\s*(.*)$/;
        push @sizes, $1 if $name =~ /^\/memfd:nginx-sticky:u\.\d+ / && /^Rss:\s+(\d+) kB/;
    }
    return @sizes;
}

# The zones whose memory a process could leave to another program.
sub files_of {
    my ($pid) = @_;
    return map { (readlink // '') =~ /^\/memfd:nginx-sticky:(\S+)\.\d+/ } glob "/proc/$pid/fd/*";
}
