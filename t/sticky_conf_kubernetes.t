#!/usr/bin/perl

# Tests for packaging/kubernetes/nginx.conf: pods that come and go by the DNS of a headless service,
# and an nginx that is replaced by another one with an empty memory; without them the configuration
# that we publish for Kubernetes could lose a session whenever anything is deployed.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::PeersDns qw/ dns_server set_names /;
use Sticky::Readme qw/ text /;
use Sticky::Store;

use IO::Socket::INET;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite upstream_zone /);
plan(skip_all => 'servers do not come and go before nginx 1.27.3') unless $t->has_version('1.27.3');
plan(skip_all => Sticky::Store::missing()) if !Sticky::Store::program();
$t->plan(23);

my $dir = $t->testdir();
my $store = Sticky::Store->new($t);
my $text = text("$FindBin::Bin/../packaging/kubernetes/nginx.conf");

# What is particular to a place, and no more.
my $socket = $store->socket();
my $listeners = join "\n        ", map { "listen 127.0.0.$_:%%PORT_8081%%;" } 2 .. 6;
for ([qr/^load_module .*$/m, "%%TEST_GLOBALS%%\ndaemon off;"],
    [qr/^pid .*$/m, ''],
    [qr/^error_log stderr/m, "error_log $dir/error.log"],
    [qr/\/dev\/stdout/, "$dir/access.log"],
    [qr/resolver \S+ valid=2s/, 'resolver 127.0.0.1:%%PORT_8982_UDP%% valid=1s'],
    [qr/redis:\/\/valkey:6379/, "unix:$socket"],
    [qr/\/etc\/sticky\/key\/key/, "$dir/key"],
    [qr/(shop\.default\.svc\.cluster\.local):8080/, 'shop.default.svc.cluster.local:%%PORT_8081%%'],
    [qr/listen 8080;/, 'listen 127.0.0.1:8080;'],
    [qr/listen 9145;/, 'listen 127.0.0.1:8090;']) {
    my ($theirs, $ours) = @$_;
    is($text =~ s/$theirs/$ours/, 1, "has $theirs");
}
# The library has its own.
$text =~ s/^ *\w+_temp_path .*\n//mg;
$text =~ s/^http \{$/http {\n%%TEST_GLOBALS_HTTP%%/m;
$text =~ s/\}\s*\z/<<"EOC"/e;

    # The application, in five pods.
    server {
        $listeners
        default_type text\/html;
        add_header X-Server \$server_addr;
        return 200 '<a href="?sid=s\$request_id">x<\/a>';
    }
}
EOC
$t->write_file_expand('nginx.conf', $text);
$t->write_file('key', 'a key of all nodes in the test');

pods(2, 3);
$t->run_daemon(\&dns_server, port(8982, udp => 1), $dir);
$t->run();

ok(settled(2, 3), 'two pods');
is(code(get('/nginx-is-alive')), 204, 'what the probes ask');
like(get('/metrics', { socket => IO::Socket::INET->new('127.0.0.1:' . port(8090)) }), qr/^nginx_sticky_build_info\{/m, 'what Prometheus asks');
my %home = map { begin() } 1 .. 8;
is(lost(), 0, 'each session stays');

pods(2, 3, 4, 5);
ok(settled(2 .. 5), 'two more come');
is(lost(), 0, 'no session moves for them');
my %new = map { begin() } 1 .. 16;
is(join(' ', sort { $a cmp $b } keys %{ { reverse %new } }), join(' ', addresses(2 .. 5)), 'new sessions go to all');
%home = (%home, %new);

# A deployment: all pods are others in the end.
pods(3, 4, 5, 6);
ok(settled(3 .. 6), 'one is replaced');
my @moved = grep { $home{$_} eq '127.0.0.2' } sort keys %home;
is(lost(), scalar @moved, 'the sessions of that one move, and no other');
is(lost(), 0, 'and stay where they are then');

# nginx itself: another pod, which has nothing but what the store has.
$t->stop();
$t->run();
ok(settled(3 .. 6), 'another nginx');
is(lost(), 0, 'knows all sessions');
is((status_of_last())[0], 'HIT', 'as its log says');

sub addresses { return map { "127.0.0.$_" } @_ }

sub pods { set_names($t, 'shop.default.svc.cluster.local' => [addresses(@_)]) }

# Whether new requests reach exactly these pods.
sub settled {
    my @wanted = addresses(@_);
    return eventually(sub {
        my %seen = map { (served_by($_) // 'none') => 1 } map { get('/') } 1 .. 40;
        return join(' ', sort keys %seen) eq join ' ', sort @wanted;
    });
}

# A new session: its id and its pod.
sub begin {
    my $reply = get('/');
    my ($sid) = $reply =~ /\?sid=(\w+)/;
    return ($sid => served_by($reply));
}

# How many sessions another pod answers than before; from then on it is theirs.
sub lost {
    my $lost = 0;
    for my $sid (sort keys %home) {
        my $pod = served_by(get("/?sid=$sid")) // 'none';
        $lost++ if $pod ne $home{$sid};
        $home{$sid} = $pod;
    }
    return $lost;
}

sub status_of_last {
    my @lines = split /\n/, $t->read_file('access.log');
    return $lines[-1] =~ /(\S+)$/;
}
