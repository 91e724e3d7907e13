#!/usr/bin/perl

# Tests for many bodies of requests that come at once, which are read in several turns of the event loop:
# each request waits for its turn, and gets the server of its session, whatever else becomes of it
# meanwhile; without them, such bodies hold up all other requests, or some lose their sessions.

use FindBin;
use lib "$FindBin::Bin/lib";
use Sticky::Test;
use Sticky::AtOnce;
use Sticky::Nginx;

# Bodies that take 12 ms or more together, of which a turn reads 1.5 ms and one.
use constant MANY => 64;

my $t = Test::Nginx->new()->has(qw/ http http_v2 proxy rewrite auth_request mirror /)->plan(45);

my ($listen, $http_2) = $t->has_version('1.25.1') ? ('', 'http2 on;') : (' http2', '');

# Each writes its own debug log.
my $locations = join '', map {
    my ($name, $what) = @$_;
    "location /$name/ { error_log %%TESTDIR%%/$name.log debug; $what }\n";
} (
    [buffered => 'proxy_pass http://u;'],
    [file => 'client_body_buffer_size 8k; proxy_pass http://u;'],
    [off => 'proxy_request_buffering off; proxy_pass http://u;'],
    [late => 'client_body_timeout 1ms; proxy_pass http://u;'],
    [variable => 'set $to u; proxy_pass http://$to;'],
    [mirrored => 'mirror /mirror; proxy_pass http://u;'],
    [authorized => 'auth_request /auth; proxy_pass http://u;'],
    [fallback => 'error_page 502 = @u; proxy_pass http://gone;'],
    [redirected => 'proxy_pass http://redirecting;'],
    [discarded => 'return 403;'],
    [static => 'root %%TESTDIR%%;'],
    [quick => 'proxy_pass http://u;'],
);

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;
worker_processes 1;

events {
    worker_connections 1024;
}

http {
    %%TEST_GLOBALS_HTTP%%

    client_body_buffer_size     128k;
    keepalive_requests          10000;

    upstream u {
        sticky mode=query from=json:sid learn=request;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream redirecting { server 127.0.0.1:8084; }
    upstream gone { server 127.0.0.1:8089; }

    server {
        listen       127.0.0.1:8081;
        listen       127.0.0.1:8082;
        listen       127.0.0.1:8083;
        server_name  localhost;
        # It is the same worker, which closes them when it ends.
        keepalive_timeout 0;
        location / { add_header X-Server \$server_port; return 200 "\$server_port"; }
    }

    server {
        listen       127.0.0.1:8084;
        server_name  localhost;
        location / { add_header X-Accel-Redirect /quick/redirected; return 200; }
    }

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8085$listen;
        $http_2
        server_name  localhost;
        add_header   X-Status \$sticky_status;
        $locations
        location /multiplexed/ { error_log %%TESTDIR%%/multiplexed.log debug; proxy_pass http://u; }
        location = /mirror {
            internal;
            error_log  %%TESTDIR%%/mirror.log debug;
            access_log %%TESTDIR%%/mirror.access;
            log_subrequest on;
            proxy_pass http://u/mirror;
        }
        location = /auth {
            internal;
            proxy_pass http://127.0.0.1:8081;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
        }
        location \@u { error_log %%TESTDIR%%/fallback.log debug; proxy_pass http://u; }
    }

    # Bodies come with the header.
    server {
        listen       127.0.0.1:8086;
        server_name  localhost;
        client_header_buffer_size 64k;
        add_header   X-Status \$sticky_status;
        error_log    %%TESTDIR%%/preread.log debug;
        location / { proxy_pass http://u; }
        location /off/ {
            error_log %%TESTDIR%%/preread_off.log debug;
            proxy_request_buffering off;
            proxy_pass http://u;
        }
    }
}

EOC
$t->run();

my $worker;
eventually(sub { ($worker) = workers($t) });
my $number = 0;

sub lines { return scalar(() = $t->read_file("$_[0].log") =~ /sticky: the request waits, its body is read in a later turn/g) }

# So many connections, each with a session of its own: id, socket, server.
sub connections {
    my ($count, @port) = @_;
    return map {
        my $id = 'id' . ++$number;
        [$id, connection($id, @port)];
    } 1 .. $count;
}

# Sends something on each while the worker is stopped.
sub send_all {
    my ($build, @all) = @_;
    while_stopped($worker, sub { for my $one (@all) { print { $one->[1] } $build->(@$one) } });
}

# How many answers are hits on the session's server; else what the first other one was.
sub hits {
    my @all = @_;
    my $hits = 0;
    for my $one (@all) {
        my ($id, $socket, $server) = @$one;
        my $reply = answer($socket);
        my $came = join ' ', code($reply), served_by($reply), status($reply);
        return "$hits, then $id: $came, not $server" if $came ne "200 $server HIT";
        $hits++;
    }
    return $hits;
}

for my $name (qw/ buffered file off late variable mirrored authorized fallback redirected /) {
    my @all = connections(MANY);
    my $path = "/$name/";
    my $first = $name eq 'off';
    send_all(sub { request($path, dear_body($_[0], first => $first)) }, @all);
    is(hits(@all), MANY, "/$name/: all reach the servers of their sessions");
    # The answers of others, which decide before, need not come at once.
    ok(lines($name) > 0, "/$name/: not all in one turn") unless $name =~ /authorized|redirected/;
    # The connections are as they were.
    send_all(sub { request('/buffered/next', qq!{"sid":"$_[0]"}!) }, @all);
    is(hits(@all), MANY, "/$name/: and so with the next request on each connection");
}
ok(eventually(sub { (() = $t->read_file('mirror.access') =~ /\n/g) == MANY }), 'each was mirrored');

# With the header, in chunks, and after "100 Continue".
for my $path ('/', '/off/') {
    my @all = connections(MANY, 8086);
    send_all(sub { request($path, dear_body($_[0], first => $path eq '/off/')) }, @all);
    is(hits(@all), MANY, "$path: bodies that come with the header");
    ok(lines($path eq '/' ? 'preread' : 'preread_off') > 0, "$path: not all in one turn");
}
my @all = connections(MANY);
send_all(sub { request('/buffered/chunked', in_chunks(dear_body($_[0])), 'Transfer-Encoding: chunked') }, @all);
is(hits(@all), MANY, 'in chunks');
@all = connections(MANY);
for my $one (@all) {
    my ($head, $body) = split /(?<=\r\n\r\n)/, request('/buffered/expected', dear_body($one->[0]),
        'Expect: 100-continue', 'Content-Length: ' . length dear_body($one->[0])), 2;
    print { $one->[1] } $head;
    like(read_until($one->[1], qr/\r\n\r\n/), qr/ 100 /, '100 Continue') if $one == $all[0];
    read_until($one->[1], qr/\r\n\r\n/) if $one != $all[0];
}
send_all(sub { dear_body($_[0]) }, @all);
is(hits(@all), MANY, 'after "100 Continue"');

# With the next request right behind.
@all = connections(MANY);
send_all(sub {
    request('/buffered/first', dear_body($_[0])) . request('/buffered/second', qq!{"sid":"$_[0]"}!);
}, @all);
is(hits(@all), MANY, 'pipelined: the first');
is(hits(@all), MANY, 'pipelined: the second');

# Bodies that no upstream gets.
@all = connections(MANY);
send_all(sub { request('/buffered/a', dear_body($_[0])) }, @all[0 .. 31]);
send_all(sub { request($_[0] =~ /[02468]\z/ ? '/static/none' : '/discarded/', dear_body($_[0])) }, @all[32 .. 63]);
is(hits(@all[0 .. 31]), 32, 'beside them: those of sessions');
is(join(' ', sort { $a <=> $b } map { code(answer($_->[1])) } @all[32 .. 63]), join(' ', (403) x 16, (404) x 16),
    'those that nginx answers itself');

# Clients that go away, before their turn or while it comes.
@all = connections(MANY);
while_stopped($worker, sub {
    print { $_->[1] } request('/buffered/gone', dear_body($_->[0])) for @all;
    close $_->[1] for @all[16 .. 47];
});
is(hits(@all[0 .. 15], @all[48 .. 63]), 32, 'the others get their answers');

# Streams of a connection of HTTP/2, some of which are cancelled.
my $h2 = h2_connection();
my %server = exchange('stream', '/multiplexed/begin', [map { 2 * $_ + 1 } 0 .. MANY - 1], sub { qq!{"sid":"$_[0]"}! });
my %next = exchange('stream', '/multiplexed/next', [map { 2 * $_ + 1 } MANY .. 2 * MANY - 1], \&dear_body);
is_deeply(\%next, \%server, 'streams of HTTP/2');
ok(lines('multiplexed') > 0, 'streams of HTTP/2: not all in one turn');
%next = exchange('stream', '/multiplexed/next', [map { 2 * $_ + 1 } 2 * MANY .. 3 * MANY - 1], \&dear_body, 16);
delete $server{$_} for MANY - 16 .. MANY - 1;
is_deeply(\%next, \%server, 'streams of HTTP/2 beside those that were cancelled');

# Requests on streams that all end at once; the servers, by the numbers of the ids. So many of the last are
# cancelled then.
sub exchange {
    my ($name, $uri, $streams, $build, $cancelled) = @_;
    my @last;
    for my $number (0 .. $#$streams) {
        my ($first, $last) = h2_post($streams->[$number], $uri, $build->("$name$number"));
        print {$h2} $first;
        push @last, $last;
    }
    h2_settle($h2);
    while_stopped($worker, sub { print {$h2} join '', @last });
    my @cancelled = splice @$streams, @$streams - ($cancelled // 0);
    print {$h2} map { h2_cancel($_) } @cancelled;
    my %body = h2_answers($h2, scalar @$streams);
    return map { ($_ => $body{ $streams->[$_] }) } 0 .. $#$streams;
}

# While the worker is replaced: it ends when all have had their turns. It has begun with all of them, or it
# would close their connections as idle.
@all = connections(MANY);
print { $_->[1] } substr request('/buffered/reloaded', dear_body($_->[0])), 0, -1 for @all;
is(visit('/discarded/'), '403 ', 'all are begun');
while_stopped($worker, sub {
    print { $_->[1] } '}' for @all;
    $t->reload();
    eventually(sub { workers($t) > 1 });
});
is(hits(@all), MANY, 'a worker that quits ends what waits');
ok(eventually(sub { !kill 0, $worker }), 'and then ends');

unlike($t->read_file('error.log'), qr/\[(?:alert|crit|emerg)\]|panicked/, 'nothing went wrong');
