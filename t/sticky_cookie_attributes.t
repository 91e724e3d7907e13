#!/usr/bin/perl

# Tests for the spelling of the Set-Cookie header; without it, browsers keep the cookie for another
# time, another site or another path than configured.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;

use Digest::MD5 qw/ md5_hex /;
use Time::Local qw/ timegm /;

# Name of the upstream, words of its directive, the header with VALUE for the value and DATE for the
# date, seconds from now of the latter.
my @cases = (
    [bare => '', 'route=VALUE; Path=/'],
    [name => 'name=srv_id', 'srv_id=VALUE; Path=/'],
    [domain => 'domain=.example.com', 'route=VALUE; Domain=.example.com; Path=/'],
    [path => 'path=/shop/', 'route=VALUE; Path=/shop/'],
    [secure => 'secure', 'route=VALUE; Path=/; Secure'],
    [httponly => 'httponly', 'route=VALUE; Path=/; HttpOnly'],
    [strict => 'samesite=strict', 'route=VALUE; Path=/; SameSite=Strict'],
    [lax => 'samesite=lax', 'route=VALUE; Path=/; SameSite=Lax'],
    [none => 'samesite=none secure', 'route=VALUE; Path=/; Secure; SameSite=None'],
    [partitioned => 'partitioned secure', 'route=VALUE; Path=/; Secure; Partitioned'],
    [second => 'expires=1s', 'route=VALUE; Expires=DATE; Path=/', 1],
    [hours => 'expires=1h30m', 'route=VALUE; Expires=DATE; Path=/', 5400],
    [year => 'expires=1y', 'route=VALUE; Expires=DATE; Path=/', 365 * 86400],
    [far => 'expires=20000y', 'route=VALUE; Expires=Fri, 31-Dec-9999 23:59:59 GMT; Path=/'],
    [all => 'partitioned samesite=none httponly secure path=/a expires=2m domain=a.example name=n',
        'n=VALUE; Domain=a.example; Expires=DATE; Path=/a; Secure; HttpOnly; SameSite=None;'
            . ' Partitioned', 120],
);

my $dated = grep { defined $_->[3] } @cases;
my $t = Test::Nginx->new()->has(qw/ http proxy rewrite /)->plan(@cases + $dated);

my $upstreams = join '', map { <<"EOC" } @cases;
    upstream $_->[0] {
        sticky $_->[1];
        server 127.0.0.1:8081;
    }
EOC

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

$upstreams

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location ~ ^/(\\w+)\$ {
            proxy_pass http://\$1;
        }
    }

    server {
        listen 127.0.0.1:8081;
        location / {
            return 200;
        }
    }
}

EOC

$t->run();

my $value = md5_hex('127.0.0.1:' . port(8081));
my $date = qr/(\w{3}), (\d\d)-(\w{3})-(\d{4}) (\d\d):(\d\d):(\d\d) GMT/;

for my $case (@cases) {
    my ($upstream, $words, $expected, $seconds) = @$case;
    $expected =~ s/VALUE/$value/;

    my $before = time();
    my ($given) = cookies(get("/$upstream"));
    my $after = time();
    $given //= '';

    if (defined $seconds && $given =~ s/Expires=\K$date/DATE/) {
        my ($at, $weekday) = seconds_since_1970($1, $2, $3, $4, $5, $6, $7);
        # nginx's clock may be a second behind; time() is behind nginx's by up to a tick.
        ok($at >= $before + $seconds - 1 && $at <= $after + $seconds + 1 && $weekday,
            "$words: date $seconds seconds from now");
    } elsif (defined $seconds) {
        fail("$words: no date");
    }

    is($given, $expected, "Set-Cookie of sticky $words;");
}

# Seconds, and whether the day of the week is right.
sub seconds_since_1970 {
    my ($weekday, $day, $month, $year, $hour, $minute, $second) = @_;
    my @months = qw/ Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec /;
    my ($number) = grep { $months[$_] eq $month } 0 .. 11;
    my $at = timegm($second, $minute, $hour, $day, $number, $year);
    return ($at, (qw/ Sun Mon Tue Wed Thu Fri Sat /)[(gmtime $at)[6]] eq $weekday);
}
