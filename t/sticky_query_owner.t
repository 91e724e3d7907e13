#!/usr/bin/perl

# Tests for promise 3, never stolen: a live session moves only when its server is gone or unusable,
# or when a request with the id was answered by another; without it, a page that shows
# the link of another client takes its session away.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(28);

$t->write_file_expand('backends.conf', backends());

my $conf = <<'EOC';

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    upstream u {
        sticky mode=query;
        server 127.0.0.1:8081 max_fails=1 fail_timeout=1h;
        server 127.0.0.1:8082 max_fails=1 fail_timeout=1h;
    }

    upstream refusing {
        sticky mode=query no_fallback;
        server 127.0.0.1:8081 max_fails=1 fail_timeout=1h;
        server 127.0.0.1:8082 max_fails=1 fail_timeout=1h;
    }

    upstream no_retry {
        sticky mode=query;
        server 127.0.0.1:8081 max_fails=0;
        server 127.0.0.1:8082 max_fails=0;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        location / {
            proxy_pass http://u;
        }

        location /refusing/ {
            proxy_pass http://refusing/;
        }

        location /no_retry/ {
            proxy_pass http://no_retry/;
            proxy_next_upstream off;
        }
    }
}

EOC

$t->write_file_expand('nginx.conf', $conf);
$t->run();

# Pages of the other server that show the id.

for my $confirmed (0, 1) {
    my $what = $confirmed ? 'confirmed session' : 'session not used yet';
    my $id = "shown$confirmed";
    my $home = served_by(get('/', 'X-Page' => link_to($id)));
    get("/?sid=$id") if $confirmed;

    isnt(shown_elsewhere($home, '/', 'X-Page' => link_to($id)), $home, "$what: another shows it");
    is(where("/?sid=$id"), $home x 6, "$what: stays where it was");
}

for my $header (qw/ X-Location X-Link X-Refresh X-Content-Location /) {
    my $id = lc $header;
    my %value = ('X-Link' => "</?sid=$id>", 'X-Refresh' => "1; url=/?sid=$id");
    my @ask = ('/302', $header => $value{$header} // "/?sid=$id");
    my $home = served_by(get(@ask));
    shown_elsewhere($home, @ask);
    is(where("/?sid=$id"), $home x 6, "not by $header either");
}

# A request of another session, at its own server, to which the owner's link is shown.

# Until the balancer has chosen another server.
my $mine = served_by(get('/', 'X-Page' => link_to('mine')));
my ($other, $others) = ($mine);
for (1 .. 4) {
    $others = "other$_";
    $other = served_by(get('/', 'X-Page' => link_to($others)));
    last if $other ne $mine;
}
isnt($mine, $other, 'two sessions at two servers');
get('/?sid=mine');
get("/?sid=$others", 'X-Page' => link_to('mine')) for 1 .. 3;
is(where('/?sid=mine'), $mine x 6, 'not by the request of another session');
is(where("/?sid=$others"), $other x 6, 'which stays, too');

# Errors of its server are its answers.

get('/no_retry/500?sid=x');
my $home = served_by(get('/no_retry/', 'X-Page' => link_to('error')));
is(served_by(get('/no_retry/500?sid=error')), $home, 'a 500 comes from the server of the session');
is(where('/no_retry/?sid=error'), $home x 6, 'and does not move it');

# The server of a session closes connections: only then it may go.

my ($used, $idle, $back) = map { session_at_a($_) } qw/ used idle back /;
is(join('', map { where("/?sid=$_") } $used, $back), 'A' x 12, 'three sessions at A');
get('/refusing/', 'X-Page' => link_to($_)) for qw/ refused1 refused2 /;

$t->write_file('closed_A', '');
my $reply = get("/?sid=$used");
is(served_by($reply) . ' ' . status($reply), 'B GONE', 'server gone: the next one answers');
$reply = get("/?sid=$used");
is(served_by($reply) . ' ' . status($reply), 'B HIT', 'and has the session');

# No request had this id; B shows it.
$reply = get('/', 'X-Page' => link_to($idle));
is(served_by($reply), 'B', 'page of the other server');
$reply = get("/?sid=$idle");
is(served_by($reply) . ' ' . status($reply), 'B HIT',
    'a page takes a session whose server is down');

my %seen = map { status(get("/refusing/?sid=$_")) => 1 } qw/ refused1 refused2 /;
is(join(' ', sort keys %seen), 'GONE HIT', 'no_fallback: one is refused');
my ($lost) = grep { status(get("/refusing/?sid=$_")) eq 'GONE' } qw/ refused1 refused2 /;
unlink $t->testdir() . '/closed_A';

# Fails are forgotten with the workers, not with time here.
ok(reload_with($t, $conf), 'reload');

is(where("/refusing/?sid=$lost"), 'A' x 6, 'no_fallback: a refusal does not move the session');
is(where("/?sid=$back"), 'A' x 6, 'a session without requests meanwhile is still there');
is(where("/?sid=$used"), 'B' x 6, 'what has moved does not move back');

# One server is down by configuration.

ok(reload_with($t, $conf =~ s/(8082 max_fails=1 fail_timeout=1h);/$1 down;/r), 'server down');
$reply = get("/?sid=$used");
is(served_by($reply) . ' ' . status($reply), 'A GONE', 'answered by the other');
is(status(get("/?sid=$used")), 'HIT', 'which has the session from now on');
ok(reload_with($t, $conf), 'server up');
is(where("/?sid=$used"), 'A' x 6, 'even after that');

# Asks until another server than that of the session has shown its id last; returns that server.
sub shown_elsewhere {
    my ($home, @ask) = @_;
    for (1 .. 4) {
        my $last = served_by(get(@ask));
        return $last if $last ne $home;
    }
    return $home;
}

# The id of a session at A; a page of B that shows it afterwards would change nothing.
sub session_at_a {
    my ($prefix) = @_;
    for my $id (map { "$prefix$_" } 1 .. 4) {
        return $id if served_by(get('/', 'X-Page' => link_to($id))) eq 'A';
    }
    die 'A does not answer';
}
