#!/usr/bin/perl

# Tests for docs/not-sticky.md: each row of its tables is provoked, and the log shows what the row
# says; without them the page sends operators after the wrong cause.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::Nginx;
use Sticky::Pages;

use Time::HiRes qw/ sleep /;

my $t = Test::Nginx->new()->has(qw/ http proxy cache /);
my $docs = "$FindBin::Bin/../docs/not-sticky.md";

# The rows: what the log shows of two requests.
open my $handle, '<', $docs or die "Can't open $docs: $!";
my $page = do { local $/; <$handle> };
close $handle;
my @rows = map { /^\| (.*?) \| (.*?) \| / && $1 !~ /^(?:first request|---)/ ? [$1, $2] : () }
    split /\n/, $page;
my ($format) = $page =~ /(log_format sticky .*?;)/s;

my %upstream = (
    u        => 'sticky mode=query from=query learn=html,location;',
    cookies  => 'sticky mode=query from=query,cookie learn=html,cookie;',
    other    => 'sticky mode=query from=query learn=html,location;',
    forms    => 'sticky mode=query from=query learn=forms;',
    xml      => 'sticky mode=query from=query learn=xml;',
    header   => 'sticky mode=query from=query learn=header:Link;',
    off      => 'sticky mode=query from=query zone=off;',
    short    => 'sticky mode=query from=query expires=1s;',
    cookie   => 'sticky;',
    key_one  => 'sticky hmac=sha256 hmac_key=0123456789abcdef;',
    key_two  => 'sticky hmac=sha256 hmac_key=fedcba9876543210;',
    rewrite  => 'sticky mode=rewrite;',
);
my $blocks = upstreams(%upstream);
my $locations = join '', map { "location /$_/ {\nproxy_pass http://$_/;\n}\n" } sort keys %upstream;

$t->write_file_expand('backends.conf', backends() . <<'EOC');

    server {
        listen  127.0.0.1:8084;

        location /packed  { default_type text/html; add_header Content-Encoding compress;
                            return 200 $http_x_page; }
        location /broken  { default_type text/html; add_header Content-Encoding gzip;
                            return 200 $http_x_page; }
        location /shared  { add_header Cache-Control public; return 200 page; }
    }
EOC

my $configuration = <<"EOC";

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    large_client_header_buffers 4 32k;
    proxy_buffer_size 32k;
    proxy_buffers 4 32k;
    proxy_cache_path %%TESTDIR%%/cache keys_zone=cache:1m;
    $format

    include backends.conf;

    $blocks
    upstream odd {
        sticky mode=query from=query learn=html;
        server 127.0.0.1:8084;
    }

    upstream odd_cookie {
        sticky;
        server 127.0.0.1:8084;
    }

    upstream odd_rewrite {
        sticky mode=rewrite;
        server 127.0.0.1:8084;
    }

    upstream failing {
        sticky mode=query from=query;
        @{[ join ' ', map { "server 127.0.0.1:$_ max_fails=0;" } 8081 .. 8083 ]}
    }

    upstream full {
        sticky mode=query from=query;
        server 127.0.0.1:8086 max_conns=1;
        server 127.0.0.1:8083 backup;
    }

    upstream one {
        sticky mode=query from=query share=both;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
    }

    upstream both {
        sticky mode=query from=query share=both;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    server {
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;
        access_log   %%TESTDIR%%/sticky.log  sticky;

        $locations
        location /odd/          { proxy_pass http://odd/; }
        location /odd_cookie/   { proxy_pass http://odd_cookie/; }
        location /odd_rewrite/  { proxy_pass http://odd_rewrite/; }
        location /one/          { proxy_pass http://one/; }
        location /both/         { proxy_pass http://both/; }
        location /full/         { proxy_pass http://full/; proxy_buffering off; }
        location /plain/        { proxy_pass http://127.0.0.1:8081/; }
        location /hidden/       { proxy_pass http://cookies/; proxy_hide_header Set-Cookie; }
        location /failing/      { proxy_pass http://failing/; proxy_next_upstream error http_500; }
        location /closing/      { proxy_pass http://u/; proxy_next_upstream error; }

        location /cached/ {
            proxy_pass http://u/;
            proxy_cache cache;
            proxy_cache_valid 200 1h;
        }
    }
}

EOC

$t->write_file_expand('nginx.conf', $configuration);
$t->run_daemon(\&scripted, port(8086), 'D', $t->testdir());
$t->waitforsocket('127.0.0.1:' . port(8086));
$t->run();
$t->plan(1 + @rows);

my $number = 0;
sub fresh { return 'id' . ++$number . 'x' }

# The line in the log of a request.
sub line_of {
    my ($ask) = @_;
    my $from = -s $t->testdir() . '/sticky.log';
    my $reply = $ask->();
    my $line;
    eventually(sub {
        open my $log, '<', $t->testdir() . '/sticky.log' or die "no log: $!";
        seek $log, $from, 0;
        return ($line) = grep { /\n$/ } <$log>;
    });
    chomp $line if defined $line;
    return $line // '';
}

# The lines of GETs, each a list of arguments.
sub gets {
    my @requests = @_;
    return map { my $request = $_; line_of(sub { get(@$request) }) } @requests;
}

sub page { return ('X-Page' => join ' ', map { link_to($_) } @_) }

# A session, and the server that holds it.
sub begun {
    my ($uri) = @_;
    my $id = fresh();
    return ($id, served_by(get($uri, page($id))));
}

# While there is a file of that name in the test's folder.
sub with_file {
    my ($name, $do) = @_;
    $t->write_file($name, '');
    my @result = $do->();
    unlink $t->testdir() . "/$name";
    return @result;
}

# The lines of two requests of which the second goes to another worker than the first.
sub at_two_workers {
    my ($first, $second) = @_;
    my @lines = gets($first);
    my ($pid) = $lines[0] =~ /worker=(\d+)/;
    eventually(sub { ($lines[1]) = gets($second); return $lines[1] !~ /worker=$pid$/ });
    return @lines;
}

my $long = 'x' x 4097;
my %provoke = (
    'name' => sub { gets(['/u/', 'X-Page' => '<a href="?session=1">'], ['/u/?session=1']) },
    'learn' => sub { gets(['/header/', page(1)], ['/header/?sid=' . fresh()]) },
    'type' => sub { gets(['/u/type/json', 'X-Page' => '{"sid":"1"}'], ['/u/?sid=' . fresh()]) },
    'coding' => sub { gets(['/odd/packed', page(1)], ['/odd/?sid=' . fresh()]) },
    'given_up' => sub { gets(['/odd/broken', page(1)], ['/odd/?sid=' . fresh()]) },
    'host' => sub {
        my $id = fresh();
        return gets(['/u/', 'X-Page' => qq{<a href="//other.example/?sid=$id">}], ["/u/?sid=$id"]);
    },
    'hidden' => sub { gets(['/hidden/', 'X-Set-Cookie' => 'sid=' . fresh()], ['/hidden/']) },
    'size' => sub { gets(['/u/', page($long)], ["/u/?sid=$long"]) },
    'status' => sub { my $id = fresh(); gets(['/u/500', page($id)], ["/u/?sid=$id"]) },
    'cache' => sub {
        get('/cached/1', 'X-Page' => 'no id');
        return gets(['/cached/1'], ['/u/?sid=' . fresh()]);
    },
    'cap' => sub {
        my @ids = map { fresh() } 1 .. 12;
        return gets(['/u/', page(@ids)], ["/u/?sid=$ids[11]"]);
    },
    'delimiter' => sub { my $id = fresh(); gets(['/u/', page("$id.node1")], ["/u/?sid=$id"]) },
    'upstream' => sub { my $id = fresh(); gets(['/u/', page($id)], ["/other/?sid=$id"]) },
    'restart' => sub {
        my $id = fresh();
        my ($first) = gets(['/u/', page($id)]);
        $t->stop();
        $t->write_file_expand('nginx.conf', $configuration)->run();
        return ($first, gets(["/u/?sid=$id"]));
    },
    'off' => sub { my $id = fresh(); at_two_workers(['/off/', page($id)], ["/off/?sid=$id"]) },
    'from' => sub { my $id = fresh(); gets(['/u/', page($id)], ['/u/', 'X-Session' => $id]) },
    'dropped' => sub {
        gets(map { ['/cookies/', 'X-Set-Cookie' => 'sid=' . fresh() . '; Secure'] } 1, 2);
    },
    'expired' => sub {
        my ($id) = begun('/short/');
        my ($first) = gets(["/short/?sid=$id"]);
        sleep 3.1;
        return ($first, gets(["/short/?sid=$id"]));
    },
    'ended' => sub {
        my $id = fresh();
        get('/cookies/', 'X-Set-Cookie' => "sid=$id");
        return gets(
            ['/cookies/', Cookie => "sid=$id", 'X-Set-Cookie' => 'sid=; Max-Age=0'],
            ['/cookies/', Cookie => "sid=$id"],
        );
    },
    'gone' => sub {
        my ($id, $home) = begun('/closing/');
        my ($first) = gets(["/closing/?sid=$id"]);
        # Another one's request fails, and its server counts as failed for this one's next.
        my ($other) = grep { served_by(get("/closing/?sid=$_")) eq $home }
            map { (begun('/closing/'))[0] } 1 .. 6;
        with_file("closed_$home", sub { get("/closing/?sid=$other") });
        my @lines = ($first);
        # The worker that has seen it.
        eventually(sub {
            my ($line) = gets(["/closing/?sid=$id"]);
            push @lines, $line if $line =~ / GONE /;
            return @lines > 1;
        }) or push @lines, '';
        return @lines;
    },
    'full' => sub {
        my $id = fresh();
        my $answer = script("Content-Type: text/html\x0d\x0a\x0d\x0a" . link_to($id));
        get('/full/', 'X-Script' => $answer);
        my ($first) = gets(["/full/?sid=$id", 'X-Script' => $answer]);
        my @second;
        # Without an upstream zone each worker counts its own connections.
        my $open = script("Content-Length: 3\x0d\x0a\x0d\x0aa", \'?go', 'bc');
        my @held = map { scalar get('/full/', 'X-Script' => $open, { start => 1 }) } 1 .. 4;
        read_until($_, qr/200 OK/) for @held;
        eventually(sub { @second = gets(["/full/?sid=$id"]); return $second[0] =~ / FULL / });
        with_file('go', sub { reply_of($_) for @held });
        return ($first, @second);
    },
    'foreign' => sub {
        my $id;
        eventually(sub { ($id, my $home) = begun('/one/'); return $home eq 'A' });
        return gets(["/one/?sid=$id"], ["/both/?sid=$id"]);
    },
    'tries' => sub {
        my ($id, $home) = begun('/failing/');
        my ($first) = with_file("failed_$home", sub { gets(["/failing/?sid=$id"]) });
        return ($first, gets(["/failing/?sid=$id"]));
    },
    'plain' => sub { my $id = fresh(); gets(['/plain/', page($id)], ["/plain/?sid=$id"]) },
    'shared' => sub { gets(['/odd_cookie/shared'], ['/odd_cookie/shared']) },
    'no cookie' => sub { gets(['/cookie/'], ['/cookie/']) },
    'another key' => sub {
        my ($route) = map { /^(route=\w+)/ } cookies(get('/key_one/'));
        return (gets(['/key_one/']), gets(['/key_two/', Cookie => $route]));
    },
    'compressed' => sub { gets(['/odd_rewrite/packed', page(1)], ['/odd_rewrite/']) },
);

# In the order of the page.
my @order = (
    'name', 'learn', 'type', 'coding', 'given_up', 'host', 'hidden', 'size', 'status', 'cache', 'cap',
    'delimiter', 'upstream', 'restart', 'off', 'from', 'dropped', 'expired', 'ended', 'gone', 'full',
    'foreign', 'tries', 'plain', 'shared', 'no cookie', 'another key', 'compressed',
);
is(@rows, @order, 'each row of the page is tested');

for my $row (@rows) {
    my $name = shift @order // last;
    my @lines = $provoke{$name}->();
    my @wrong;
    for my $at (0, 1) {
        # "200 NONE from=…"
        my ($status) = $lines[$at] =~ /" \d+ (\S+) from=/;
        my ($expected, @fields) = $row->[$at] =~ /`(.*?)`/g;
        push @wrong, "$expected: " . ($status // 'no line') if $expected ne ($status // '');
        my @words = grep { $row->[$at] !~ /(?:another|the same) `\Q$_\E`/ } @fields;
        push @wrong, grep { index($lines[$at], $_) < 0 } @words;
    }
    my $is_same = sub {
        my ($field) = @_;
        my ($first, $next) = map { /\b\Q$field\E(\S+)/ ? $1 : '' } @lines;
        return $first eq $next;
    };
    push @wrong, 'hash' if $row->[1] =~ /another hash/ && $is_same->('hash=');
    push @wrong, 'same hash' if $row->[1] =~ /the same hash/ && !$is_same->('hash=');
    push @wrong, "another $1" if $row->[1] =~ /another `(\w+=)`/ && $is_same->($1);
    push @wrong, "the same $1" if $row->[1] =~ /the same `(\w+=)`/ && !$is_same->($1);
    is(join(', ', @wrong), '', "$name: $row->[0] $row->[1]") or diag(join "\n", @lines);
}
