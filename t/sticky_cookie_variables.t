#!/usr/bin/perl

# Tests for variables in the attributes of the cookie (domain=, path=, secure=, samesite=), and for
# a key in a file; without these, clients get "$host" for a domain, or an attribute that a request
# has smuggled in.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;

use Digest::SHA qw/ hmac_sha256_hex /;

my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(18);

my $key = 'a key of more than 16 bytes';
$t->write_file('key', "$key\n");

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    upstream plain {
        sticky domain=$arg_d path=/$arg_p;
        server 127.0.0.1:8081;
    }

    upstream secured {
        sticky secure=$arg_s samesite=$arg_t;
        server 127.0.0.1:8081;
    }

    upstream partitioned {
        sticky secure=$arg_s samesite=none partitioned;
        server 127.0.0.1:8081;
    }

    upstream expiring {
        sticky domain=a.$arg_d expires=1h;
        server 127.0.0.1:8081;
    }

    upstream signed {
        sticky hmac=sha256 hmac_key_file=key;
        server 127.0.0.1:8081;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location ~ ^/(?<upstream>\w+) {
            proxy_pass http://$upstream;
            add_header X-Status $sticky_status;
        }
    }

    server {
        listen 127.0.0.1:8081;
        return 200;
    }
}

EOC

$t->run();

is(attributes('/plain?d=a.example&p=shop'), 'Domain=a.example; Path=/shop', 'both');
is(attributes('/plain?d=b.example&p=blog'), 'Domain=b.example; Path=/blog', 'for another request');
is(attributes('/plain'), 'Path=/', 'no value, no attribute');
is(attributes('/plain?d=a;Secure&p=a,b'), '', 'what breaks the header is left out');
like(attributes('/expiring?d=example'), qr/^Domain=a\.example; Expires=[^;]+; Path=\/$/,
    'with a time');
for (
    ['s=on&t=lax',     'Path=/; Secure; SameSite=Lax',    'secure and lax'],
    ['s=1&t=NONE',     'Path=/; Secure; SameSite=None',   'secure and none, in any case'],
    ['s=0&t=strict',   'Path=/; SameSite=Strict',         'secure is 0'],
    ['t=lax',          'Path=/; SameSite=Lax',            'secure is empty'],
    ['s=1',            'Path=/; Secure',                  'samesite is empty'],
    ['s=1&t=other',    'Path=/; Secure; SameSite=Strict', 'samesite is none of them'],
    ['s=1&t=a;b',      'Path=/; Secure; SameSite=Strict', 'samesite would break the header'],
    ['t=none',         'Path=/',                          'none without secure, which is dropped'],
) {
    my ($arguments, $expected, $what) = @$_;
    is(attributes("/secured?$arguments"), $expected, $what);
}
is(attributes('/partitioned?s=1'), 'Path=/; Secure; SameSite=None; Partitioned', 'partitioned');
is(attributes('/partitioned'), 'Path=/', 'partitioned, not secure');
my ($value) = get('/signed') =~ /^Set-Cookie: route=(\w+)/m;
is($value, hmac_sha256_hex('127.0.0.1:' . port(8081), $key), 'the key of the file');
is(status(get('/signed', "Cookie: route=$value")), 'HIT', 'the cookie is taken back');

$t->stop();
is(scalar(() = $t->read_file('error.log') =~
    /\[error\] .*sticky: a cookie gets "samesite=strict", the value of the variable is "other",/g), 1,
    'one line in the log');

sub attributes {
    my ($uri) = @_;
    my ($cookie) = get($uri) =~ /^Set-Cookie: (.*?)\r?$/m or return 'no cookie';
    return join '; ', grep { !/^route=/ } split /; ?/, $cookie;
}
