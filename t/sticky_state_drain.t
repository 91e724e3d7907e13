#!/usr/bin/perl

# A test for drains in state files: a server that was drained by hand, or has said so itself, is so
# still when nginx was stopped and started again; without it an operator who restarts nginx sends new
# sessions to a server that is about to be replaced.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Hands;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(9);

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    upstream kept {
        sticky mode=query zone=kept:128k state=%%TESTDIR%%/kept.state;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream forgotten {
        sticky mode=query zone=forgotten:128k;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        sticky_drain_on $upstream_http_link;

        location / {
            proxy_pass http://kept;
        }

        location /forgotten/ {
            proxy_pass http://forgotten/;
        }

        location /sticky {
            sticky_status rw;
        }
    }
}

EOC

$t->run();

my $n = 0;
my $at_b = session_at('B');
get("/?sid=$at_b", 'X-Link' => 1);
done(action => 'drain', upstream => 'kept', server => port_of('A'), for => '1d');
done(action => 'drain', upstream => 'forgotten', server => port_of('A'));
is(news('/'), 'C' x 12, 'two of three servers are drained');
my %before = map { $_ => server_in('kept', $_)->{drain} } qw/ A B /;

$t->stop();
$t->run();

is(news('/'), 'C' x 12, 'and are so after a restart');
is_deeply({ map { $_ => server_in('kept', $_)->{drain} } qw/ A B / }, \%before,
    'by whom, since when and how long');
is(where("/?sid=$at_b"), 'B' x 6, 'their sessions stay');
like(news('/forgotten/'), qr/A/, 'without a state file that is gone');

get("/?sid=$at_b", 'X-Link' => 0);
done(action => 'undrain', upstream => 'kept', server => port_of('A'));
like(news('/'), qr/A/, 'put back');

$t->stop();
$t->run();

like(news('/'), qr/A/, 'which lasts, too');
like(news('/'), qr/B/, 'of both');

# The file says of a server that the configuration does not name nothing that matters.

done(action => 'drain', upstream => 'kept', server => port_of('C'));
$t->stop();
my $configuration = $t->read_file('nginx.conf');
$configuration =~ s/(zone=kept.*?)server \S+;(\s+server \S+;\s+)server \S+;/$1$2/s;
$t->write_file('nginx.conf', $configuration);
$t->run();
is(news('/'), 'B' x 12, 'a server that has left');

# Servers of new visitors.
sub news {
    my ($uri) = @_;
    return join '', map { served_by(get($uri)) } 1 .. 12;
}

# A session that a page of this server has begun.
sub session_at {
    my ($server) = @_;
    for (1 .. 100) {
        my $id = 'session' . $n++;
        return $id if served_by(get('/', 'X-Page' => link_to($id))) eq $server;
    }
    die "no session at $server";
}
