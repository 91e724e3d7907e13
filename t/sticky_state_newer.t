#!/usr/bin/perl

# Tests for state files of a later version: what this one does not know of a file is kept in it, and a
# file whose format it does not know is left alone. Without this, going back to an older module for an
# hour costs what the newer one had written.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;
use Sticky::State;
use Sticky::Traffic;

use Compress::Zlib qw/ crc32 /;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(16);

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    error_log %%TESTDIR%%/error.log notice;

    include backends.conf;

    upstream u {
        sticky mode=query zone=u:128k state=%%TESTDIR%%/u.state;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        location / {
            proxy_pass http://u;
        }
    }
}

EOC

my $dir = $t->testdir();
my $file = "$dir/u.state";

$t->run();
my %home = hand_out('/', 'id', 40);
ended($t, 'TERM');
my $good = $t->read_file('u.state');

# Sections that a later version may add: in front of the others, and behind them; a long one, an empty
# one.

my @new = (section(30, 'counters ' x 1000), section(70, 'x' x 300_000), section(4_000_000_000, ''));
my $more = substr($good, 0, 64) . $new[0] . substr($good, 64, -24) . $new[1] . $new[2]
    . section(0, pack 'Q<', 5);
$t->write_file('u.state', $more);
changed($file, sub { $t->run() });
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'the sessions of such a file');
ok(kept(), 'kept when it is written the first time');
%home = (%home, hand_out('/', 'more', 8));
ended($t, 'TERM');
ok(kept(), 'and the last time');
is(length $t->read_file('u.state'), file_size(2, 48) + length join('', @new), 'with the new sessions');
# Written at the start, and not again before something happens to it.
changed($file, sub { $t->run() });
is(differing(\%home, { bring_back('/', keys %home) }), 0, 'and so on');

# Two nginx: the one that has not read those sections finds them.

unlink $file;
ok(eventually(sub { -s $file && flaw($file) eq '' }), 'a file without them');
my $now = $t->read_file('u.state');
# In one step, as nginx does.
$t->write_file('other', substr($now, 0, -24) . $new[0] . section(0, pack 'Q<', 3));
changed($file, sub { rename "$dir/other", $file });
ok(eventually(sub { index($t->read_file('u.state'), $new[0]) > 0 && -s $file > length $new[0] }),
    'another process has written them: kept');
ended($t, 'TERM');
ok(index($t->read_file('u.state'), $new[0]) > 0, 'to the end');

# Damage in them is damage.

my $damaged = $more;
substr($damaged, 5000, 1) ^= "\x01";
$t->write_file('u.state', $damaged);
my $lines = log_lines($t);
started($t);
like(join("\n", log_lines($t, $lines)), qr/is refused, it is damaged/, 'one that is damaged');
ended($t, 'TERM');
ok(!kept(), 'is not kept');

# Another format, of which no more is known than its number.

my $newer = "sticky\n\0" . pack('Q<', 3) . 'whatever';
$t->write_file('u.state', $newer);
$lines = log_lines($t);
started($t);
my $line = 'sticky: state file "u.state" is left alone, it has format 3, this module knows those up'
    . ' to 2, zone "u"';
is(join("\n", log_lines($t, $lines)), $line, 'a newer format: one line');
my %new = hand_out('/', 'new', 8);
is(differing(\%new, { bring_back('/', keys %new) }), 0, 'nginx serves');
ended($t, 'QUIT');
is(join("\n", log_lines($t, $lines)), $line, 'no other line');
is($t->read_file('u.state'), $newer, 'it is as it was');
ok(!-e "$dir/u.state.refused.1", 'and not renamed');

# The module that knows it is back, here with a file of today.

$t->write_file('u.state', $good);
$t->run();
is(differing(\%home, { bring_back('/', keys %home) }), 8, 'all sessions but the later ones');

sub section {
    my ($kind, $body) = @_;
    my $length = pack 'Q<', length $body;
    return pack('V V', $kind, crc32(pack('V', $kind) . $length . $body)) . $length . $body;
}

# Whether all new sections are in the file.
sub kept {
    my $bytes = $t->read_file('u.state');
    return !grep { index($bytes, $_) < 0 } @new;
}
