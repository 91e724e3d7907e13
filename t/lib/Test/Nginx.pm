package Test::Nginx;

# Starts an nginx and the servers behind it in a directory of their own, talks to it, and ends
# all of it again. This is the public interface of the library of the same name in nginx's own
# test suite (github.com/nginx/nginx-tests), written anew, so that the files in t/ need nothing
# but the perl that git brings along, and still run unchanged with nginx's library.
#
# A test file opens with Sticky::Test, see there, which loads this library or, in its place, the one
# that TEST_NGINX_LIB names (or a PERL5LIB): give the absolute path to the lib folder of nginx's suite
# to run with nginx's library.
#
# What a test must heed to pass with both libraries:
#
#   - `my $t` at file scope, and no named sub that mentions it (hand it over as an argument, or
#     use an anonymous sub that goes out of scope): nginx's library does its last two tests when
#     $t goes out of scope, and a named sub keeps it until it is too late for that.
#   - plan(N) counts the tests of the file only. Two more are added, 'no alerts' and
#     'no sanitizer errors', about error.log, which is read after nginx has ended.
#   - Ports are written as 127.0.0.1:8000 to 127.0.0.1:8999 or %%PORT_8080%% in what
#     write_file_expand() gets, and as port(8080) everywhere else.
#   - The configuration holds `daemon off;`, and %%TEST_GLOBALS%% and %%TEST_GLOBALS_HTTP%% where
#     they belong; it is named nginx.conf.
#
# Environment, as there: TEST_NGINX_BINARY (absolute path of an executable), TEST_NGINX_GLOBALS
# and TEST_NGINX_GLOBALS_HTTP (text for the two places above; as root the first must begin with
# `user root;`, or the workers may not enter the test's directory), TEST_NGINX_MODULES (folder of
# nginx's own dynamic modules), TEST_NGINX_LEAVE (keep the directory), TEST_NGINX_VERBOSE (print
# what is sent and received), TEST_NGINX_CATLOG (print error.log at the end).
#
# Not here: TLS, mail, stream and UDP clients. A test that asks for socket_ssl is skipped.

use strict;
use warnings;

use Exporter qw/ import /;
use File::Path qw/ remove_tree /;
use File::Spec;
use File::Temp qw/ tempdir /;
use IO::Socket::INET;
use POSIX qw/ WNOHANG /;
use Scalar::Util qw/ weaken /;
use Test::More ();
use Time::HiRes qw/ sleep time /;

use Test::Nginx::Build;
use Test::Nginx::Client qw/
    port http http_get http_head http_start http_end http_content http_gzip_request http_gzip_like
    log_in log_out log_core
/;

our @EXPORT = qw/ log_in log_out http http_get http_head port /;
our @EXPORT_OK = qw/ http_gzip_request http_gzip_like http_start http_end http_content /;
our %EXPORT_TAGS = (gzip => [qw/ http_gzip_request http_gzip_like /]);

our $NGINX = $ENV{TEST_NGINX_BINARY} // '../nginx/objs/nginx';

# Test::More looks for this name in the package that calls it.
our $TODO;

# Seconds, far beyond what a loaded machine takes.
use constant {
    START_LIMIT => 60,
    QUIT_LIMIT  => 90,
    TERM_LIMIT  => 20,
};

my @alive;

sub new {
    my ($class) = @_;

    Test::More::BAIL_OUT("no $NGINX binary found, set TEST_NGINX_BINARY") unless -x $NGINX;

    my $self = bless {
        owner   => $$,
        testdir => tempdir('nginx-test-XXXXXXXXXX', TMPDIR => 1),
        daemons => [],
    }, $class;

    # An interrupted test must not leave its nginx behind: exit runs finish().
    for my $signal (qw/ INT TERM HUP /) {
        $SIG{$signal} = sub { exit 1 } unless $SIG{$signal};
    }

    push @alive, $self;
    weaken($alive[-1]);

    return $self;
}

sub DESTROY { $_[0]->finish() }

END { $_->finish() for grep { defined } @alive }

# Ends everything and does the two tests that plan() has added. A process that a test forked
# shares the object, but is not its owner.
sub finish {
    my ($self) = @_;

    return if $self->{finished} || $self->{owner} != $$;
    $self->{finished} = 1;

    local ($?, $@, $!);

    $self->stop();
    $self->stop_daemons();

    my $log = -e "$self->{testdir}/error.log" ? $self->read_file('error.log') : '';

    if (Test::More->builder->expected_tests) {
        {
            local $TODO = $self->{alerts_wanted} ? 'alerts' : undef;
            Test::More::is(join("\n", $log =~ /^.+\[alert\].+$/gm), '', 'no alerts');
        }
        Test::More::is(join("\n", $log =~ /^.+Sanitizer.+$/gm), '', 'no sanitizer errors');
    }

    print $log if $ENV{TEST_NGINX_CATLOG};

    if ($ENV{TEST_NGINX_LEAVE}) {
        Test::More::diag("left for you: $self->{testdir}");
    } else {
        remove_tree($self->{testdir}, { error => \my $ignored });
    }
}

sub plan {
    my ($self, $tests) = @_;
    Test::More::plan(tests => $tests + 2);
    return $self;
}

sub todo_alerts {
    my ($self) = @_;
    $self->{alerts_wanted} = 1;
    return $self;
}

sub has {
    my ($self, @features) = @_;

    for my $feature (@features) {
        next if $self->has_module($feature) || $self->has_feature($feature);
        Test::More::plan(skip_all => "no $feature available");
    }

    return $self;
}

sub has_daemon {
    my ($self, $name) = @_;
    Test::More::plan(skip_all => "$name not found")
        unless grep { -x "$_/$name" } File::Spec->path();
    return $self;
}

sub has_module { $_[0]->build()->has_module($_[1]) }
sub has_feature { $_[0]->build()->has_feature($_[1]) }
sub has_version { $_[0]->build()->has_version($_[1]) }

sub build {
    my ($self) = @_;
    return $self->{build} //= Test::Nginx::Build->new($NGINX);
}

sub testdir { $_[0]{testdir} }

sub read_file {
    my ($self, $name) = @_;

    open my $file, '<', "$self->{testdir}/$name" or die "Can't open $name: $!";
    local $/;
    my $content = <$file>;

    return $content // '';
}

sub write_file {
    my ($self, $name, $content) = @_;

    open my $file, '>:raw', "$self->{testdir}/$name" or die "Can't create $name: $!";
    print {$file} $content;
    close $file or die "Can't write $name: $!";

    return $self;
}

sub write_file_expand {
    my ($self, $name, $content) = @_;

    my %text = (
        TEST_GLOBALS        => sub { $self->test_globals() },
        TEST_GLOBALS_HTTP   => sub { $self->test_globals_http() },
        TEST_GLOBALS_STREAM => sub { $ENV{TEST_NGINX_GLOBALS_STREAM} // '' },
        TESTDIR             => sub { $self->{testdir} },
    );

    $content =~ s/%%(TEST\w+)%%/exists $text{$1} ? $text{$1}->() : "%%$1%%"/ge;
    $content =~ s/\b127\.0\.0\.1:(8\d{3})/'127.0.0.1:' . port($1)/ge;
    $content =~ s/%%PORT_(\d+)%%/port($1)/ge;
    $content =~ s/%%PORT_(\d+)_UDP%%/port($1, udp => 1)/ge;

    return $self->write_file($name, $content);
}

sub test_globals {
    my ($self) = @_;

    return $self->{globals} //= join "\n",
        "pid $self->{testdir}/nginx.pid;",
        "error_log $self->{testdir}/error.log debug;",
        $ENV{TEST_NGINX_GLOBALS} // '',
        map { "load_module $_;" }
        grep { ($ENV{TEST_NGINX_GLOBALS} // '') !~ /\Q$_\E/ } $self->build()->module_files();
}

sub test_globals_http {
    my ($self) = @_;

    return $self->{globals_http} //= join "\n",
        "root $self->{testdir};",
        "access_log $self->{testdir}/access.log;",
        "client_body_temp_path $self->{testdir}/client_body_temp;",
        (map { "${_}_temp_path $self->{testdir}/${_}_temp;" }
            grep { $self->has_module($_) } qw/ fastcgi proxy uwsgi scgi /),
        $ENV{TEST_NGINX_GLOBALS_HTTP} // '';
}

# Arguments that make even a configuration without %%TEST_GLOBALS%% write to the test's directory.
sub arguments {
    my ($self) = @_;
    my $dir = $self->{testdir};
    my @globals = $self->{globals}
        ? () : ('-g', "pid $dir/nginx.pid; error_log $dir/error.log debug;");
    return ('-p', "$dir/", '-c', 'nginx.conf', '-e', 'error.log', @globals);
}

sub run {
    my ($self, $conf) = @_;

    if (defined $conf) {
        open my $file, '<', $conf or die "Can't open $conf: $!";
        local $/;
        $self->write_file_expand('nginx.conf', <$file>);
    }

    my @command = ($NGINX, $self->arguments());
    my $pid = fork() // die "Can't fork: $!\n";

    if ($pid == 0) {
        no_handlers();
        exec { $command[0] } @command or POSIX::_exit(127);
    }

    my $started = $self->waitforfile("$self->{testdir}/nginx.pid", $pid);

    if (!$started) {
        # 0 says that the process has ended and its number may be somebody else's by now.
        end_process($pid, TERM => TERM_LIMIT, KILL => TERM_LIMIT) unless defined $started;
        my ($why) = -e "$self->{testdir}/error.log"
            ? $self->read_file('error.log') =~ /^.*(\[emerg\].*)$/m : ();
        die "Can't start nginx" . ($why ? ": $why" : '') . "\n";
    }

    $self->{nginx} = $pid;

    return $self;
}

sub try_run {
    my ($self, $message) = @_;

    # nginx repeats on stderr what it writes to its log; a test that may be skipped stays quiet.
    open my $saved, '>&', \*STDERR or die "Can't save stderr: $!";
    open STDERR, '>', File::Spec->devnull() or die "Can't silence stderr: $!";
    my $started = eval { $self->run() };
    open STDERR, '>&', $saved or die "Can't restore stderr: $!";

    return $self if $started;

    log_core($self->read_file('error.log'))
        if $ENV{TEST_NGINX_VERBOSE} && -e "$self->{testdir}/error.log";

    Test::More::plan(skip_all => $message);
}

sub dump_config {
    my ($self) = @_;

    my @command = ($NGINX, '-T', $self->arguments());
    my $pid = open(my $output, '-|') // die "Can't fork: $!\n";

    if ($pid == 0) {
        no_handlers();
        open STDERR, '>&', \*STDOUT;
        exec { $command[0] } @command or POSIX::_exit(127);
    }

    local $/;
    my $text = <$output>;
    close $output;

    return $text;
}

sub reload {
    my ($self) = @_;
    kill 'HUP', $self->{nginx} if $self->{nginx};
    return $self;
}

# As nginx ends on QUIT only after its clients, so long may it take; a test need not wait for
# a client that it has forgotten about.
sub stop {
    my ($self) = @_;
    my $pid = delete $self->{nginx};
    end_process($pid, QUIT => QUIT_LIMIT, TERM => TERM_LIMIT, KILL => TERM_LIMIT) if $pid;
    return $self;
}

sub run_daemon {
    my ($self, $code, @arguments) = @_;

    my $pid = fork() // die "Can't fork daemon: $!\n";

    if ($pid == 0) {
        no_handlers();
        if (ref $code eq 'CODE') {
            $code->(@arguments);
            exit 0;
        }
        exec $code, @arguments or POSIX::_exit(127);
    }

    push @{ $self->{daemons} }, $pid;

    return $self;
}

sub stop_daemons {
    my ($self) = @_;

    while (my $pid = shift @{ $self->{daemons} }) {
        end_process($pid, TERM => TERM_LIMIT, KILL => TERM_LIMIT);
    }

    return $self;
}

sub no_handlers { @SIG{qw/ INT TERM HUP /} = ('DEFAULT') x 3 }

# Sends one signal after the other until the child is gone, each with the seconds that it may take.
sub end_process {
    my ($pid, @steps) = @_;

    while (my ($signal, $limit) = splice @steps, 0, 2) {
        kill $signal, $pid;
        return 1 if eventually($limit, sub { waitpid($pid, WNOHANG) != 0 });
    }

    return 0;
}

# True when the file is there; undef when it does not come; 0 when the process has ended before.
sub waitforfile {
    my ($self, $file, $pid) = @_;
    my $gone;

    return eventually(START_LIMIT, sub {
        return 1 if -e $file;
        return $gone ? 0 : undef if !$pid || $gone;
        # The file may have been made between the look at it and the end.
        $gone = waitpid($pid, WNOHANG) != 0;
        return -e $file ? 1 : $gone ? 0 : undef;
    });
}

sub waitforsocket {
    my ($self, $peer) = @_;
    return eventually(START_LIMIT, sub {
        IO::Socket::INET->new(Proto => 'tcp', PeerAddr => $peer, Timeout => 1) ? 1 : undef;
    });
}

# Asks again and again until the answer is defined and not '' (what a false comparison gives).
sub eventually {
    my ($limit, $ask) = @_;
    my $end = time() + $limit;
    my $pause = 0.005;

    while (1) {
        my $answer = $ask->();
        return $answer if defined $answer && $answer ne '';
        return undef if time() > $end;
        sleep($pause);
        $pause = 0.1 if ($pause *= 1.5) > 0.1;
    }
}

1;
