package Sticky::Test;

# The opening of every test, which so is short:
#
#     #!/usr/bin/perl
#
#     # Tests for …; without X this fails.
#
#     use FindBin;
#     use lib "$FindBin::Bin/lib";
#     use Sticky::Test;
#
#     my $t = Test::Nginx->new()->has(qw/ http proxy /)->plan(3);
#
# It turns on strict and warnings, goes to the folder t, and brings along all of Test::More,
# Test::Nginx and Sticky::Client. It comes before every other module of ours, as it decides which
# Test::Nginx they get: that of TEST_NGINX_LIB, or of a PERL5LIB, goes before ours in t/lib. `use
# lib` alone would put ours first; without it, Debian's libtest-nginx-perl would be found, another
# library of this name.

use strict;
use warnings;

use Cwd qw/ abs_path /;
use File::Basename qw/ dirname /;

BEGIN {
    my $lib = dirname(dirname(abs_path(__FILE__)));
    chdir dirname($lib) or die "Can't go to the tests: $!\n";
    unshift @INC, (map { split /:/ } grep { defined } @ENV{qw/ TEST_NGINX_LIB PERL5LIB /}), $lib;
}

use Test::More ();
use Test::Nginx ();
use Sticky::Client ();

sub import {
    my $test = caller;
    strict->import();
    warnings->import();
    # Each in its own way, Test::More not by Exporter.
    eval "package $test;"
        . 'Test::More->import();'
        . 'Test::Nginx->import(qw/ :DEFAULT :gzip http_start http_end http_content /);'
        . 'Sticky::Client->import(); 1' or die $@;
    for my $stream (\*STDERR, \*STDOUT) {
        $stream->autoflush(1);
    }
}

1;
