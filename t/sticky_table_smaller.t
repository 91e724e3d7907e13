#!/usr/bin/perl

# Tests for a reload with a zone that cannot hold all sessions: those in use stay, the most recently
# used first, however many ids a flood has just left behind; without it, an operator who saves
# memory, or an attacker who waits for that moment, logs out whoever is clicking right now.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;
use Sticky::Traffic;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(9);

$t->write_file_expand('backends.conf', backends());

my $conf = sub {
    my ($size) = @_;
    return <<"EOC";

%%TEST_GLOBALS%%

daemon off;

worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    # The debug log would be most of the work.
    error_log %%TESTDIR%%/error.log notice;

    access_log off;
    keepalive_requests 100000;

    include backends.conf;

    upstream u {
        sticky mode=query zone=z:$size;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
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

$t->write_file_expand('nginx.conf', $conf->('256k'));
$t->run();

# Sessions in use, and after them others, which a zone of 32 KB can hold: it has some 1,250 to 1,500
# words, of which a copy fills some more when it was repeated. Then ids without a request, later
# than all of them.

my %early = hand_out('/', 'early', 2000);
is(differing(\%early, { bring_back('/', keys %early) }), 0, 'sessions used early');
select undef, undef, undef, 2.1;
my %late = hand_out('/', 'late', 800);
is(differing(\%late, { bring_back('/', keys %late) }), 0, 'sessions used late');
select undef, undef, undef, 1.1;
my %flood = hand_out('/', 'flood', 4000);
is(scalar keys %flood, 4000, 'a flood after that');

ok(reload_with($t, $conf->('32k')), 'reload: a much smaller zone');
is(differing(\%late, { bring_back('/', keys %late) }), 0, 'all that were used late are there');
# Until the last old worker is known to be gone, its zone is there, too.
eventually(sub { $t->read_file('error.log') =~ /zone of another size is freed/ });
my $gone = differing(\%early, { bring_back('/', keys %early) });
# In 32 KB there are never more than 2,048 words.
cmp_ok($gone, '>=', 2000 - (2048 - 800), "many of the early ones are not: $gone of 2000");
cmp_ok($gone, '<', 1900, 'but what room there is, they have');

ok(reload_with($t, $conf->('1m')), 'reload: a larger one again');
is(differing(\%late, { bring_back('/', keys %late) }), 0, 'the late ones still hold');
