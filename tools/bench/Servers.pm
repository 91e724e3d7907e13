package Servers;

# The processes of a benchmark: several nginx, each with its own configuration, in one folder
# that goes away with them.
#
# A measured nginx has one worker, alone on the first processor; everything else shares the others.
# Otherwise the worker's caches, and with them its time, would depend on what else runs.

use strict;
use warnings;

use Cwd qw/ abs_path /;
use File::Path qw/ remove_tree /;
use File::Spec;
use File::Temp qw/ tempdir /;
use IO::Compress::Gzip qw/ gzip $GzipError /;
use IO::Socket::INET;
use POSIX qw/ WNOHANG /;
use Time::HiRes qw/ sleep /;

# Loopback addresses of the servers behind: 127.0.1.1 and on, all of one port.
use constant BACKENDS => 100;

# Bytes of the page that they answer in gzip, before that.
use constant PACKED => 65536;

# nginx would take it for sockets to inherit.
delete $ENV{NGINX};

my @all;

sub new {
    my ($class, $why) = @_;

    my $dir = tempdir("sticky-$why-XXXXXXXX", TMPDIR => 1);
    # Workers of a root's nginx run as another user.
    chmod 0755, $dir;
    my ($own, $others) = processors();
    my $self = bless { dir => $dir, own => $own, others => $others, pids => [], owner => $$ },
        $class;
    push @all, $self;

    return $self;
}

# The one for the worker that is measured, and the rest, as taskset names them.
sub processors {
    my ($list) = read_file('/proc/self/status') =~ /^Cpus_allowed_list:\s*(\S+)/m;
    my @allowed = map { /\A(\d+)-(\d+)\z/ ? $1 .. $2 : $_ } split /,/, $list // '0';

    give_up('one processor only: the load would be measured with the worker') if @allowed < 2;

    return (shift @allowed, join ',', @allowed);
}

sub dir    { $_[0]{dir} }
sub own    { $_[0]{own} }
sub others { $_[0]{others} }

# Ports that nobody listens on, on any of our addresses. Below those that connections are given.
sub ports {
    my ($count) = @_;

    my ($first) = read_file('/proc/sys/net/ipv4/ip_local_port_range') =~ /(\d+)/;
    my $at = 10_000 + int rand(($first > 20_000 ? $first : 32_768) - 10_000 - 20 * $count);
    my @ports;
    for my $port ($at .. $at + 20 * $count) {
        # The wildcard address is free when all are.
        push @ports, $port
            if IO::Socket::INET->new(Proto => 'tcp', LocalAddr => "0.0.0.0:$port", Listen => 1);
        return @ports if @ports == $count;
    }

    give_up("no $count free ports from $at on");
}

# Starts an nginx. $http is its http block, without what all have in common. Returns the master.
sub start {
    my ($self, $name, $nginx, $processors, $workers, $main, $http) = @_;

    my $dir = $self->{dir};
    my $file = $self->configure($name, $workers, $main, $http);
    my @command = ($nginx, '-p', "$dir/", '-c', $file, '-e', "$dir/$name.log");
    return $self->start_program($name, $processors, sub { -s "$dir/$name.pid" }, @command);
}

# Starts a HAProxy of one thread, with these frontends and backends, which listens on a port then.
# Returns the process.
sub start_haproxy {
    my ($self, $name, $haproxy, $processors, $port, $proxies) = @_;

    write_file("$self->{dir}/$name.cfg", <<"END");
global
    nbthread 1
    maxconn 8192
defaults
    mode http
    maxconn 8192
    timeout connect 10s
    timeout client 1h
    timeout server 1h
    http-reuse always
$proxies
END

    my $listens = sub { IO::Socket::INET->new(Proto => 'tcp', PeerAddr => "127.0.0.1:$port") };
    return $self->start_program($name, $processors, $listens, $haproxy, '-db', '-f', "$self->{dir}/$name.cfg");
}

# Starts a program in the foreground, on these processors, until it is ready. Returns its process.
sub start_program {
    my ($self, $name, $processors, $is_ready, @command) = @_;

    my $pid = fork() // give_up("cannot fork: $!");
    if ($pid == 0) {
        open STDIN, '<', File::Spec->devnull();
        open STDOUT, '>>', "$self->{dir}/$name.out";
        open STDERR, '>&', \*STDOUT;
        exec('taskset', '-c', $processors, @command) or POSIX::_exit(127);
    }

    $self->keep($pid);
    for (1 .. 400) {
        return $pid if $is_ready->();
        $self->give_up_with($name, 'does not start') if waitpid($pid, WNOHANG) == $pid;
        sleep 0.05;
    }

    return $self->give_up_with($name, 'does not listen');
}

# Processes that are to end with the benchmark.
sub keep {
    my ($self, $pid) = @_;
    push @{ $self->{pids} }, $pid;
    return;
}

sub release {
    my ($self, $pid) = @_;
    @{ $self->{pids} } = grep { $_ != $pid } @{ $self->{pids} };
    return;
}

# Writes the configuration of an nginx, or a new one for a reload.
sub configure {
    my ($self, $name, $workers, $main, $http) = @_;

    my $dir = $self->{dir};
    my $temps = join "\n    ", map { "${_}_temp_path $dir/$name.$_;" }
        qw/ client_body proxy fastcgi uwsgi scgi /;

    write_file("$dir/$name.conf", <<"END");
$main
daemon off;
worker_processes $workers;
worker_rlimit_nofile 16384;
pid $dir/$name.pid;
error_log $dir/$name.log warn;
events {
    worker_connections 8192;
}
http {
    $temps
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
$http
}
END

    return "$dir/$name.conf";
}

# The servers behind: all of them one nginx, each with an address of its own that it answers with.
# `sid` comes back as links of a page, 8 at a time, in a Location, and in the header X-Sid.
sub start_backends {
    my ($self, $nginx, $port) = @_;

    my $listen = join "\n        ", map { "listen $_;" } backends($port, BACKENDS);
    my $links = join '', map { "<a href=\"/?sid=\${arg_p}$_\">$_</a>" } 0 .. 7;
    my $workers = $self->{others} =~ tr/,// + 1;
    mkdir "$self->{dir}/html";
    gzip(\page_of(PACKED) => "$self->{dir}/html/packed") or give_up("gzip: $GzipError");

    return $self->start('backends', $nginx, $self->{others}, $workers, '', <<"END");
    server {
        $listen
        default_type text/plain;
        location / {
            return 200 \$server_addr;
        }
        location = /page {
            default_type text/html;
            return 200 '$links';
        }
        location = /one {
            add_header X-Sid \$arg_n;
            return 200 \$server_addr;
        }
        location = /new {
            add_header Location /x?sid=\$arg_n;
            add_header X-Sid \$arg_n;
            return 201 \$server_addr;
        }
        location = /packed {
            root $self->{dir}/html;
            default_type text/html;
            add_header Content-Encoding gzip;
        }
    }
END
}

# A page of about so many bytes, with links but without an id, always the same, which gzip makes as
# small as pages usually are.
sub page_of {
    my ($size) = @_;
    my $seed = 1;
    my $random = sub { return ($seed = ($seed * 1103515245 + 12345) % 2147483648) >> 8 };
    my @words = map { join '', map { ('a' .. 'z')[$random->() % 26] } 1 .. 2 + $random->() % 9 } 1 .. 600;
    my $some = sub { return join ' ', map { $words[$random->() % @words] } 1 .. $_[0] };
    my $page = "<!DOCTYPE html>\n<html><head><title>" . $some->(4) . "</title></head><body>\n";
    while (length $page < $size) {
        my $path = $some->(2) =~ tr{ }{/}r;
        $page .= '<p class="' . $some->(1) . '">' . $some->(30) . " <a href=\"/$path\">" . $some->(2) . "</a></p>\n";
    }
    return $page;
}

sub backends {
    my ($port, $count) = @_;
    return map { "127.0.1.$_:$port" } 1 .. $count;
}

# The workers of a master that has the number of them that it should have.
sub workers {
    my ($master) = @_;
    my @workers;

    for my $stat (glob '/proc/[0-9]*/stat') {
        # A process may end in between.
        open my $file, '<', $stat or next;
        my ($pid, $parent) = (<$file> // '') =~ /\A(\d+) \(.*\) \S (\d+) / or next;
        push @workers, $pid if $parent == $master;
    }

    return @workers;
}

# The only worker of a master, which may not have started it yet.
sub worker {
    my ($master) = @_;
    for (1 .. 400) {
        my ($worker) = workers($master);
        return $worker if defined $worker;
        sleep 0.05;
    }
    return give_up('nginx starts no worker');
}

# Nanoseconds that a process was on a processor.
sub on_cpu {
    my ($pid) = @_;
    my ($nanoseconds) = read_file("/proc/$pid/schedstat") =~ /\A(\d+)/;
    return $nanoseconds // give_up("no time in /proc/$pid/schedstat");
}

sub error_log {
    my ($self, $name) = @_;
    return -e "$self->{dir}/$name.log" ? read_file("$self->{dir}/$name.log") : '';
}

sub give_up_with {
    my ($self, $name, $why) = @_;

    my @files = grep { -s } map { "$self->{dir}/$name.$_" } qw/ out log /;
    my $said = join '', map { read_file($_) } @files;
    return give_up("$name $why\n$said");
}

sub stop {
    my ($self) = @_;

    return unless $self->{owner} == $$;
    my @pids = @{ $self->{pids} };
    for my $signal (qw/ TERM KILL /) {
        kill $signal, @pids;
        for (1 .. 100) {
            @pids = grep { waitpid($_, WNOHANG) == 0 } @pids;
            last unless @pids;
            sleep 0.05;
        }
    }
    $self->{pids} = [];
    remove_tree($self->{dir}, { error => \my $ignored });
}

sub program {
    my ($path) = @_;
    return abs_path($path) // give_up("no file at $path");
}

sub read_file {
    my ($path) = @_;
    open my $file, '<', $path or give_up("cannot open $path: $!");
    local $/;
    return scalar <$file> // '';
}

sub write_file {
    my ($path, $content) = @_;
    open my $file, '>', $path or give_up("cannot write $path: $!");
    print {$file} $content;
    close $file or give_up("cannot write $path: $!");
}

sub give_up { print STDERR "bench: $_[0]\n"; exit 2 }

# At once: what runs may be waiting for one of the processes.
$SIG{$_} = sub { stop_all(); exit 130 } for qw/ INT TERM HUP /;

sub stop_all { $_->stop() for @all; return }

END {
    my $status = $?;
    stop_all();
    $? = $status;
}

1;
