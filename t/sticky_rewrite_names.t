#!/usr/bin/perl

# Tests for the memory that the names of a page's elements take, in mode=rewrite and with
# learn=forms; without a bound for it, a page of 16 MB can make a worker hold 31 MB of names.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Worker;

my $t = Test::Nginx->new()->has(qw/http proxy sub/)->plan(10);

my $conf = <<'EOC';

%%TEST_GLOBALS%%

daemon off;
worker_processes 1;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    upstream rewrite {
        sticky mode=rewrite hash=index;
        server 127.0.0.1:8081;
    }

    upstream forms {
        sticky mode=query learn=forms;
        server 127.0.0.1:8081;
    }

    upstream plain {
        server 127.0.0.1:8081;
    }

    server {
        listen       127.0.0.1:8080;
        add_header   X-Status  $sticky_status  always;
        location /rewrite/ { proxy_pass http://rewrite/; }
        location /forms/ { proxy_pass http://forms/; }
        location /sub/ {
            sub_filter '"/next' '"/next?a=0123456789abcdef0123456789abcdef';
            sub_filter_once off;
            proxy_pass http://plain/;
        }
    }

    server {
        listen       127.0.0.1:8081;
        default_type text/html;
    }
}

EOC

$t->write_file_expand('nginx.conf', $conf);

sub form { return qq!<form action="/$_[0]" method="post"><input name="sid" value="$_[0]"></form>! }

my $name = 'x' x 8000;
my $open = join '', map { "<a$_$name>" } 1 .. 2000;
$t->write_file('long.html', form('first') . $open . form('last'));
$t->write_file('warm.html', form('warm'));

$t->run();

my %grown;
for my $path (qw/ sub rewrite forms /) {
    my %old = map { $_ => 1 } @{ eventually(sub { my @old = workers($t); return @old && \@old }) };
    reload_with($t, $conf);
    my $worker = eventually(sub {
        my ($new, @others) = workers($t);
        return $new && !@others && !$old{$new} ? $new : undef;
    });
    # What every page takes.
    http_get("/$path/warm.html");
    my $before = peak_of($worker);
    my $page = http_content(http_get("/$path/long.html"));
    $grown{$path} = peak_of($worker) - $before;

    ok(index($page, $open) > 0, "$path: the page is complete");
    next if $path ne 'rewrite';
    like($page, qr!"/first\?route=0"!, 'rewrite: a form before the names');
    like($page, qr!"/last"!, 'rewrite: none behind them');
}

for my $id (qw/ first last /) {
    my $status = $id eq 'first' ? 'HIT' : 'MISS';
    like(http_get("/forms/warm.html?sid=$id"), qr/^X-Status: $status/m, "forms: $id, $status");
}

for my $path (qw/ rewrite forms /) {
    cmp_ok($grown{$path}, '<', $grown{sub} + 2048, "$path: at most 2 MB more than sub_filter");
    diag("$path: $grown{$path} KB, sub_filter $grown{sub} KB");
}
like($t->read_file('error.log'), qr/\[error\].*sticky: the rest of a page is not rewritten/, 'logged');
