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

use Test::More;
use Test::Nginx;
use Sticky::Client qw/ eventually served_by status /;

our @EXPORT = qw/ agree node strayed /;

# A node that is running. Of %options, `sticky` are more words for the upstream, `cluster` for the
# directive, which `alone` leaves out, `url` another one than that of the store's socket, `workers`
# how many there are, `http` and `server` lines of the blocks of that name, `zone` the name and size of
# the zone, `host` where it runs if not here, a Sticky::Net::Host, whose network `front` the servers are
# on, at the address `servers`, `env` what is in its environment besides, `key` the file of its key. As
# a `daemon` it is no child of the test, and can be upgraded.
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
        servers => '127.0.0.1',
        daemon => 0,
        env => {},
        key => 'cluster.key',
        %options,
    }, __PACKAGE__;
    $self->{address} = $self->{host} ? $self->{host}->address('front') : '127.0.0.1';
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
    my $line = $self->{alone} ? '' : "sticky_cluster $url key_file=$dir/$self->{key} $self->{cluster};";
    my $n = 0;
    my $servers = join "\n        ",
        map { $n++; "server $self->{servers}:$_ route=s$n max_fails=0;" } map { port($_) } 8081 .. 8083;
    # Else nginx keeps it from its workers.
    my $env = join "\n", map { "env $_;" } sort keys %{ $self->{env} };
    my $daemon = $self->{daemon} ? 'on' : 'off';
    my $globals_http = $ENV{TEST_NGINX_GLOBALS_HTTP} // '';
    # Its ports are those of this test already.
    $t->write_file("$self->{name}/nginx.conf", <<"EOC");

$globals

$env

daemon $daemon;
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
        listen       $self->{address}:$self->{port};
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
        my @there = $self->{host} ? $self->{host}->prefix() : ();
        @ENV{ keys %{ $self->{env} } } = values %{ $self->{env} };
        exec @there, $Test::Nginx::NGINX, '-p', "$self->{dir}/", '-c', 'nginx.conf', '-e', "$self->{dir}/error.log"
            or POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    if ($self->{daemon}) {
        waitpid $pid, 0;
        $self->{pid} = eventually(sub { $self->pid_of('nginx.pid') });
    }
    $t->waitforsocket("$self->{address}:$self->{port}") or die "node $self->{name} did not start:\n" . $self->log();
    return $self;
}

sub pid { return $_[0]{pid} }

# The process that a file of this node names.
sub pid_of {
    my ($self, $name) = @_;
    open my $file, '<', "$self->{dir}/$name" or return undef;
    return (<$file> // '') =~ /(\d+)/ ? $1 : undef;
}

# Whether it can start itself again: not if it was started by way of a dynamic linker that is not the
# system's.
sub can_upgrade { return (readlink("/proc/$_[0]{pid}/exe") // '') !~ /\/ld-[^\/]*$/ }

# Another nginx takes the place of this one, a daemon: USR2, WINCH, QUIT. `between` is called with
# "both" when both serve, and with "new" when the old one's workers have gone. Returns whether it has.
sub upgrade {
    my ($self, $between) = @_;
    my ($old, @workers) = ($self->{pid}, $self->workers());
    kill 'USR2', $old;
    my $new = eventually(sub {
        my $pid = $self->pid_of('nginx.pid');
        return $pid && $pid != $old && $self->workers() > @workers && $pid;
    }) || return 0;
    $between->('both');
    kill 'WINCH', $old;
    eventually(sub { !grep { kill 0, $_ } @workers }) || return 0;
    $between->('new');
    kill 'QUIT', $old;
    $self->{pid} = $new;
    return eventually(sub { !kill 0, $old });
}

# An answer of this node.
sub get {
    my ($self, @request) = @_;
    return eval { Sticky::Client::get(@request, { PeerAddr => "$self->{address}:$self->{port}" }) } // '';
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

# Has ids handed out, so many, and notes where they are.
sub hand_out_to {
    my ($self, $home, $prefix, $count) = @_;
    $home->{$_} = $self->hand_out($_) for map { "$prefix$_" } 1 .. $count;
    return;
}

my $markers = 0;

# Waits until other nodes have heard of all that this one has learned so far: of one more session, as
# the stream keeps the order. False: one has not, within a minute.
sub heard_by {
    my ($self, @others) = @_;
    my $id = "marker$$-" . $markers++;
    my $home;
    eventually(sub { $home = $self->hand_out($id) }) || return 0;
    return eventually(sub { !grep { $_->visit("/?sid=$id") ne "$home HIT" } @others });
}

# Tests that all nodes hear of each other, and that no request goes astray then; %$home is as for
# strayed().
sub agree {
    my ($home, $when, @nodes) = @_;
    for my $node (@nodes) {
        my @others = grep { $_ != $node } @nodes;
        ok($node->heard_by(@others), "$when: $node->{name} is heard");
    }
    return is(strayed($home, @nodes), 0, "$when: none astray");
}

# How many requests of sessions go elsewhere than where these are, at nodes that are asked once.
sub strayed {
    my ($home, @nodes) = @_;
    my $count = 0;
    for my $node (@nodes) {
        $count += grep { $node->visit("/?sid=$_") ne "$home->{$_} HIT" } sort keys %$home;
    }
    return $count;
}

sub log {
    my ($self) = @_;
    open my $file, '<', "$self->{dir}/error.log" or return '';
    local $/;
    return <$file> // '';
}

# Lines of the log about processes that have ended as none should: by themselves, or by a panic.
sub failures {
    my ($self) = @_;
    return join "\n", $self->log() =~ /^.*(?:exited on signal (?!9\b)|exited with (?:fatal )?code (?!0\b)|panicked|\[emerg\]).*$/gm;
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
    # Of a daemon nobody knows the status.
    my $status = waitpid($pid, 0) == $pid ? $? : 0;
    eventually(sub { !kill 0, $pid });
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
