#!/usr/bin/perl

# Tests for from=query where nginx changes the arguments of a request (rewrite, set $args, try_files);
# without them the session ends where an id is in the URL of the client, but not in what is passed on.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Pages;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite ssi /)->plan(18);

$t->write_file_expand('backends.conf', backends());
$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include backends.conf;

    upstream u {
        sticky mode=query;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        add_header   X-Status  $sticky_status  always;

        location / {
            proxy_pass http://u;
        }

        location /dropped {
            rewrite ^ /page? break;
            proxy_pass http://u;
        }

        location /others {
            rewrite ^ /page?a=b&xsid=1? break;
            proxy_pass http://u;
        }

        location /emptied {
            set $args "";
            proxy_pass http://u;
        }

        location /passed {
            proxy_pass http://u/page?;
        }

        location /renamed {
            rewrite ^ /page?sid=$arg_id? break;
            proxy_pass http://u;
        }

        location /redirected {
            try_files /none /page?a=b;
        }

        location /included {
            ssi on;
            rewrite ^ /page? break;
            proxy_pass http://u;
        }
    }
}

EOC

$t->run();

my $home = served_by(get('/', 'X-Page' => link_to('one')));
my $other = served_by(get('/', 'X-Page' => link_to('two')));
isnt($home, $other, 'two sessions, two servers');

for my $path (qw{ / /dropped /others /emptied /passed /redirected }) {
    is(where("$path?a=b&sid=one"), $home x 6, "$path: the id that the client sent");
}
is(status(get('/dropped?sid=one')), 'HIT', 'its status');
is(status(get('/dropped?sid=unknown')), 'MISS', 'an unknown id');
is(status(get('/dropped?xsid=one')), 'NONE', 'no id');
is(status(get('/dropped')), 'NONE', 'no arguments');
is(status(get('/dropped#?sid=one')), 'NONE', 'none behind a fragment');
is(where('/dropped?a=b&sid=%6fne#x?sid=two'), $home x 6, 'escaped, before a fragment');

# Arguments of now that have an id come first, and hide what the client sent.

is(where('/renamed?id=two'), $other x 6, 'the id of the new arguments');
is(where('/renamed?id=two&sid=one'), $other x 6, 'rather than that which the client sent');
is(status(get('/renamed?id=unknown&sid=one')), 'MISS', 'also when it is unknown');
is(where('/renamed?sid=one'), $home x 6, 'unless it is empty');

# A subrequest has the id that the client sent for its request.

my %parts = map { /part of (\w)/ ? ($1 => 1) : (none => 1) }
    map { get('/included?sid=one', 'X-Page' => '<!--#include virtual="/part" -->') } 1 .. 6;
is(join('', keys %parts), $home, 'a subrequest');
