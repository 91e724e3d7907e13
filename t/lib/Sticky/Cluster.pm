package Sticky::Cluster;

# Several nginx on one host, each with a folder of its own, that share the sessions of an upstream u
# of three servers. The servers are those of Sticky::Pages::apart().
#
#     my $store = Sticky::Store->new($t) or …;
#     apart($t);
#     my $a = node($t, 'a', 8091, store => $store);
#     $a->get('/?sid=1', 'X-Page' => …);

use strict;
use warnings;

use Exporter qw/ import /;
use POSIX ();

use Test::Nginx;
use Sticky::Client qw/ eventually served_by status /;

our @EXPORT = qw/ node /;

# A node that is running. Of %options, `sticky` are more words for the upstream, `cluster` for the
# directive, which `alone` leaves out, `url` another one than that of the store's socket, `workers` how many there are,
# `http` and `server` lines of the blocks of that name, `zone` the
# name and size of the zone.
sub node {
    my ($t, $name, $port, %options) = @_;
    my $self = bless {
        t => $t,
        dir => $t->testdir() . "/$name",
        name => $name,
        port => port($port),
        owner => $$,
        workers => 2,
        sticky => '',
        cluster => '',
        http => '',
        server => '',
        zone => 'u:1m',
        %options,
    }, __PACKAGE__;
    mkdir $self->{dir};
    $t->write_file('cluster.key', "a key for all nodes of this test\n");
    $self->configure();
    $self->start();
    return $self;
}

# Writes the configuration.
sub configure {
    my ($self, %options) = @_;
    $self->{$_} = $options{$_} for keys %options;
    my $t = $self->{t};
    my $url = $self->{url} // 'unix:' . $self->{store}->socket();
    my $dir = $t->testdir();
    # The module, and who may read the folder of the test.
    my $globals = $ENV{TEST_NGINX_GLOBALS} // '';
    my $line = $self->{alone} ? '' : "sticky_cluster $url key_file=$dir/cluster.key $self->{cluster};";
    my $n = 0;
    my $servers = join "\n        ", map { $n++; "server 127.0.0.1:$_ route=s$n max_fails=0;" } map { port($_) } 8081 .. 8083;
    my $globals_http = $ENV{TEST_NGINX_GLOBALS_HTTP} // '';
    # Its ports are those of this test already.
    $t->write_file("$self->{name}/nginx.conf", <<"EOC");

$globals

daemon off;
pid $self->{dir}/nginx.pid;
worker_processes $self->{workers};
error_log $self->{dir}/error.log notice;

events {
}

http {
    $globals_http

    access_log off;
    $self->{http}

    $line

    upstream u {
        sticky mode=query zone=$self->{zone} $self->{sticky};
        $servers
    }

    server {
        listen       127.0.0.1:$self->{port};
        server_name  localhost;
        add_header   X-Status  \$sticky_status  always;
        $self->{server}

        location / {
            proxy_pass http://u;
        }
    }
}

EOC
    return $self;
}

sub start {
    my ($self) = @_;
    my $t = $self->{t};
    my $pid = fork() // die "Can't fork: $!";
    if ($pid == 0) {
        exec $Test::Nginx::NGINX, '-p', "$self->{dir}/", '-c', 'nginx.conf', '-e', "$self->{dir}/error.log"
            or POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    $t->waitforsocket("127.0.0.1:$self->{port}") or die "node $self->{name} did not start:\n" . $self->log();
    return $self;
}

sub pid { return $_[0]{pid} }

# An answer of this node.
sub get {
    my ($self, @request) = @_;
    return get_from($self->{port}, @request);
}

sub get_from {
    my ($port, @request) = @_;
    return eval { Sticky::Client::get(@request, { PeerAddr => "127.0.0.1:$port" }) } // '';
}

# Where a session is, and what becomes of the request: "A HIT".
sub visit {
    my ($self, $uri) = @_;
    my $reply = $self->get($uri);
    return join ' ', map { $_ // '-' } served_by($reply), status($reply);
}

# Has an id handed out by whatever server is next; returns its letter.
sub hand_out {
    my ($self, $id) = @_;
    return served_by($self->get('/', 'X-Page' => "<a href=?sid=$id>")) // '';
}

sub log {
    my ($self) = @_;
    open my $file, '<', "$self->{dir}/error.log" or return '';
    local $/;
    return <$file> // '';
}

# The workers that are alive.
sub workers {
    my ($self) = @_;
    my %started = map { $_ => 1 } $self->log() =~ /start worker process (\d+)/g;
    return grep { kill 0, $_ } sort { $a <=> $b } keys %started;
}

# Waits until only the workers of a new configuration are left.
sub reload {
    my ($self) = @_;
    my @old = $self->workers();
    kill 'HUP', $self->{pid};
    return eventually(sub { !(grep { kill 0, $_ } @old) && $self->workers() });
}

# Ends it.
sub stop {
    my ($self, $signal) = @_;
    my $pid = delete $self->{pid} // return;
    my @all = $self->workers();
    kill $signal // 'QUIT', $pid;
    waitpid $pid, 0;
    my $status = $?;
    if (($signal // '') eq 'KILL') {
        kill 'KILL', @all;
        eventually(sub { !grep { kill 0, $_ } @all });
    }
    unlink "$self->{dir}/nginx.pid";
    return $status;
}

sub DESTROY {
    my ($self) = @_;
    return if !defined $self->{owner} || $self->{owner} != $$ || !defined $self->{pid};
    local $?;
    $self->stop('KILL');
}

1;
