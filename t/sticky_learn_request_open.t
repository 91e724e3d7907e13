#!/usr/bin/perl

# Tests for what docs/security.md says that learn=request opens; without these, who follows
# it would be wrong about who can fix which id to a server, and how to take static words out.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/ http proxy /)->plan(7);

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    upstream files {
        sticky mode=query from=segment:/files/,segment:/404/ learn=request;
        @{[ three_servers() ]}
    }

    upstream words {
        @{[ three_servers() ]}
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  \$sticky_status  always;

        location / {
            proxy_pass http://files;
        }

        location = /files/list {
            proxy_pass http://words;
        }
    }
}

EOC

$t->run();

my $fixed = get('/files/guessed');
is(status($fixed), 'MISS', 'anybody begins a session');
ok(holds($fixed, '/files/guessed'), 'and all others that have its id are sent to its server');
is(status(get('/files/guessed')), 'HIT', 'as with any other id');
is(join(' ', map { status(get('/404/guessed2')) } 1, 2), 'MISS MISS', 'not by an answer of 404');

my $new = get('/files/new');
ok(holds($new, '/files/new'), 'a static word is an id, too');
is(join('', sort split //, where('/files/list')), 'AABBCC', 'but not in a location of its own');
is(status(get('/files/list')), '', 'with an upstream that is not sticky');
