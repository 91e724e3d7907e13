package Sticky::Store;

# A server of Redis or Valkey for a test, of its own: on a socket in the test's folder, and on a port
# of the loopback. It keeps nothing on disk unless it is told to.
#
#     my $store = Sticky::Store->new($t) or plan(skip_all => Sticky::Store::missing());
#     $store->ask(qw/ XLEN sticky:stream /);
#     $store->kill('KILL'); $store->start();

use strict;
use warnings;

use IO::Socket::UNIX;
use POSIX ();

use Sticky::Client qw/ eventually /;

my @NAMES = qw/ redis-server valkey-server /;

my $CRLF = "\x0d\x0a";

# The program: that of STICKY_STORE, or what there is. Debian 12 has Redis, Debian 13 Valkey.
sub program {
    return $ENV{STICKY_STORE} if defined $ENV{STICKY_STORE};
    for my $name (@NAMES) {
        for my $folder (split(/:/, $ENV{PATH} // ''), '/usr/bin', '/usr/local/bin') {
            return "$folder/$name" if -x "$folder/$name";
        }
    }
    return undef;
}

# Why there is none.
sub missing { return join(' or ', @NAMES) . ' not found' }

# A store that is running. %options go into its configuration; `host` is where it runs, if not here, a
# Sticky::Net::Host.
sub new {
    my ($class, $t, %options) = @_;
    my $program = program() // return undef;
    my $name = delete $options{name} // 'store';
    my $host = delete $options{host};
    my $self = bless {
        program => $program,
        dir => $t->testdir(),
        name => $name,
        socket => $t->testdir() . "/$name.sock",
        owner => $$,
        there => $host ? [$host->prefix()] : [],
        options => \%options,
    }, $class;
    $self->start();
    return $self;
}

sub socket { return $_[0]{socket} }
sub pid { return $_[0]{pid} }

# Starts it, empty but for what its file has.
sub start {
    my ($self) = @_;
    my %own = %{ $self->{options} };
    # A sentinel writes into its configuration.
    my @first = exists $own{sentinel} ? ("$self->{dir}/$self->{name}.conf", '--sentinel') : ();
    my $lines = delete $own{sentinel};
    if (defined $lines) {
        open my $file, '>', $first[0] or die "Can't write: $!";
        print {$file} $lines;
        close $file;
    }
    my %all = (
        port => 0,
        unixsocket => $self->{socket},
        dir => $self->{dir},
        @first ? () : (dbfilename => "$self->{name}.rdb", save => ''),
        daemonize => 'no',
        logfile => "$self->{dir}/$self->{name}.log",
        %own,
    );
    my $pid = fork() // die "Can't fork: $!";
    if ($pid == 0) {
        # No destructor, no END: those are the test's.
        exec @{ $self->{there} }, $self->{program}, @first, map { ("--$_" => $all{$_}) } sort keys %all
            or POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    my $up = eventually(sub { (eval { $self->ask('PING') } // '') eq 'PONG' });
    die "the store did not start\n" if !$up;
    return $self;
}

# Ends it.
sub kill {
    my ($self, $signal) = @_;
    my $pid = delete $self->{pid} // return;
    CORE::kill($signal // 'TERM', $pid);
    waitpid $pid, 0;
    unlink $self->{socket};
    return 1;
}

# It answers nothing until it is told to go on.
sub pause { return CORE::kill('STOP', $_[0]{pid}) }
sub resume { return CORE::kill('CONT', $_[0]{pid}) }

# What it answers to a command: a text, a number, undef, or a list of these.
sub ask {
    my ($self, @words) = @_;
    my $server = IO::Socket::UNIX->new(Peer => $self->{socket}) or die "Can't connect: $!\n";
    if (defined(my $password = $self->{options}{requirepass})) {
        print {$server} "*2${CRLF}\$4${CRLF}AUTH${CRLF}\$" . length($password) . "$CRLF$password$CRLF";
        answer($server);
    }
    print {$server} '*' . @words . $CRLF, map { '$' . length($_) . "$CRLF$_$CRLF" } @words;
    return answer($server);
}

# Whether it says that of its replication; not while it changes its role, when it closes connections.
sub replicates {
    my ($self, $pattern) = @_;
    return (eval { $self->ask('INFO', 'replication') } // '') =~ $pattern;
}

sub answer {
    my ($server) = @_;
    my $line = do { local $/ = $CRLF; <$server> } // die "no answer\n";
    $line =~ s/\x0d\x0a\z//;
    my ($kind, $rest) = $line =~ /\A(.)(.*)\z/s or die "odd answer\n";
    return $rest if $kind eq '+' || $kind eq ':';
    die "$rest\n" if $kind eq '-';
    return undef if $rest < 0;
    if ($kind eq '$') {
        read($server, my $text, $rest + 2) == $rest + 2 or die "short answer\n";
        return substr $text, 0, $rest;
    }
    return [map { answer($server) } 1 .. $rest];
}

sub DESTROY {
    my ($self) = @_;
    return if !defined $self->{owner} || $self->{owner} != $$;
    if (defined $self->{pid}) {
        local $?;
        CORE::kill('CONT', $self->{pid});
        $self->kill('KILL');
    }
}

1;
