#!/usr/bin/perl

# Tests for sticky_cluster where the clocks of the nodes are 30 s apart, and one is set while its nginx
# runs: sessions live as long at all nodes, and none goes astray. Without the store's clock between
# them, a session of 16 s would end at once where the clock is ahead, and stay too long where it is
# late.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Cluster;
use Sticky::Pages;
use Sticky::Store;

use Time::HiRes qw/ sleep time /;
use Time::Local qw/ timegm /;

# Seconds without use after which a session ends, and how much later at most: a sixteenth, twice the
# second that a time is rounded to, and the one in which nginx looks at the clock.
use constant EXPIRES => 16;
use constant LATER => 4;

plan(skip_all => Sticky::Store::missing()) if !Sticky::Store::program();
my ($library) = map { glob "/usr/lib/$_/faketime/libfaketimeMT.so.1" } qw/ *-linux-gnu* . /;
plan(skip_all => 'libfaketime not found') if !$library;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(22);
my $dir = $t->testdir();
apart($t);
my $store = Sticky::Store->new($t);
my %clock = (a => 0, b => 30, c => -30);
my %node = map { $_->[0] => begin(@$_) } ['a', 8091], ['b', 8092], ['c', 8093];
my @nodes = @node{qw/ a b c /};
ok(eventually(sub { is_late($_) }), "the clock of $_") for sort keys %node;

my %home;
$_->hand_out_to(\%home, $_->{name}, 10) for @nodes;
agree(\%home, 'clocks apart', @nodes);
live_as_long('clocks apart');

# The clocks are set, to the other side.

set(b => -30);
set(c => 30);
ok(eventually(sub { is_late($_) }), "the clock of $_ is set") for qw/ b c /;
$_->hand_out_to(\%home, "set-$_->{name}", 10) for @nodes;
my %new = map { $_ => $home{$_} } grep { /^set-/ } keys %home;
agree(\%new, 'clocks set', @nodes);
live_as_long('clocks set');

# One begins with such a clock.

my %kept;
$node{a}->hand_out_to(\%kept, 'kept', 10);
ok($node{a}->heard_by($node{b}), 'known to b');
$node{b}->stop();
$node{b}->start();
is(strayed(\%kept, $node{b}), 0, 'a node that begins with a clock that is late knows them');
is(join('', map { $_->failures() } @nodes), '', 'no process has failed');
$_->stop() for @nodes;
undef $_ for @nodes, values %node, $store;

# A node whose clock a file says.
sub begin {
    my ($name, $port) = @_;
    set($name => $clock{$name});
    my %env = (LD_PRELOAD => $library, FAKETIME_TIMESTAMP_FILE => "$dir/$name.clock",
        FAKETIME_CACHE_DURATION => 1, FAKETIME_DONT_FAKE_MONOTONIC => 1);
    return node($t, $name, $port, store => $store, sticky => 'expires=' . EXPIRES . 's', env => \%env);
}

sub set {
    my ($name, $ahead) = @_;
    $clock{$name} = $ahead;
    $t->write_file("$name.clock.new", sprintf "%+d\n", $ahead);
    rename "$dir/$name.clock.new", "$dir/$name.clock" or die "Can't rename: $!";
    return;
}

# Whether nginx says that time.
sub is_late {
    my ($name) = @_;
    my $before = time();
    my $date = date(header('Date', $node{$name}->get('/'))) // return 0;
    my $ahead = $clock{$name};
    # However long the answer has taken.
    return $date > $before + $ahead - 5 && $date < time() + $ahead + 5;
}

# A time as in Date: Sat, 28 Nov 2026 03:15:53 GMT.
sub date {
    my ($day, $month, $year, @time) = $_[0] =~ /(\d+) (\w{3}) (\d{4}) (\d+):(\d+):(\d+) GMT/ or return undef;
    my $number = index('JanFebMarAprMayJunJulAugSepOctNovDec', $month) / 3;
    return timegm(reverse(@time), $day, $number, $year);
}

# Each session is learned at one node, and asked for once, at one node, some time later: no node may
# have forgotten it before its time, or have it long after.
sub live_as_long {
    my ($when) = @_;
    my @asked;
    my $number = 0;
    my @later = map { EXPIRES + $_ } -8, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 8;
    for my $later (@later) {
        for my $at (@nodes) {
            for my $by (@nodes) {
                my $id = "$when " . $number++;
                $id =~ tr/ /-/;
                my $began = time();
                my $home = $by->hand_out($id);
                push @asked, { id => $id, at => $at, home => $home, began => $began, ended => time(), due => time() + $later };
            }
        }
    }
    my ($early, $late, $hits, $misses) = ('', '', 0, 0);
    for my $it (sort { $$a{due} <=> $$b{due} } @asked) {
        my $left = $$it{due} - time();
        sleep $left if $left > 0;
        my $asked = time();
        my $is_known = $$it{at}->visit("/?sid=$$it{id}") eq "$$it{home} HIT";
        my ($least, $most) = ($asked - $$it{ended}, time() - $$it{began});
        my $what = sprintf "%s at %s after %.1f to %.1f s\n", $$it{id}, $$it{at}{name}, $least, $most;
        $is_known ? $hits++ : $misses++;
        $early .= $what if !$is_known && $most < EXPIRES - 1;
        $late .= $what if $is_known && $least > EXPIRES + LATER;
    }
    is($early, '', "$when: none ends early");
    is($late, '', "$when: none ends late");
    # Not all of one kind, however slow the machine is: then nothing was tested.
    ok($misses, "$when: they end");
    return diag("$when: $hits were known, $misses had ended");
}
