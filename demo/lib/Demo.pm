package Demo;

# What the demonstrations share: servers of demo/shop, nginx and a store as children that end with
# the demonstration, walks of many sessions through them, bars. Uses only modules that come with
# perl.

use strict;
use warnings;

use Cwd qw/ abs_path /;
use Exporter qw/ import /;
use File::Basename qw/ dirname /;
use File::Path qw/ remove_tree /;
use File::Spec;
use File::Temp qw/ tempdir /;
use IO::Handle;
use IO::Socket::INET;
use POSIX qw/ WNOHANG /;
use Time::HiRes qw/ sleep /;

our @EXPORT = qw/
    await_file await_socket bar begin check_free children_gone end_children free_ports give_up log_tail
    no_handlers plain program read_file start start_shops sticky_line walk write_file
/;

my $demo = abs_path(dirname(__FILE__) . '/..');
my $owner;
my %children;       # pid => name
my $dir;

# From here on everything ends with this process. The folder of the demonstration is the prefix that
# the configurations expect. If root starts nginx, its workers run as another user and must be able
# to enter it.
sub begin {
    my ($module) = @_;

    $owner = $$;
    STDOUT->autoflush(1);
    $SIG{INT} = sub { print "\n"; exit 130 };
    $SIG{$_} = sub { exit 143 } for qw/ TERM HUP QUIT PIPE /;

    $dir = tempdir('sticky-demo-XXXXXXXX', TMPDIR => 1);
    chmod 0755, $dir;
    mkdir "$dir/$_" or give_up("cannot make $dir/$_: $!") for qw/ logs modules /;
    symlink $module, "$dir/modules/ngx_http_sticky_rs.so" or give_up("cannot link $module: $!");

    return $dir;
}

END {
    if (defined $owner && $owner == $$) {
        my $status = $?;
        end_children(keys %children);
        remove_tree($dir, { error => \my $ignored }) if defined $dir;
        $? = $status;
    }
}

sub give_up { print STDERR "demo: $_[0]\n"; exit 2 }

# Where a program is: at the path that was given, else in PATH or /usr/sbin. undef: nowhere.
sub program {
    my ($name, $given) = @_;

    for my $candidate ($given // (map { "$_/$name" } File::Spec->path(), '/usr/sbin')) {
        return File::Spec->rel2abs($candidate) if -x $candidate && !-d _;
    }

    return undef;
}

sub check_free {
    my @addresses = @_;

    for my $address (@addresses) {
        IO::Socket::INET->new(Proto => 'tcp', LocalAddr => $address, Listen => 1, ReuseAddr => 1)
            or give_up("$address is not free ($!). The demo needs "
                . join(', ', @addresses) . ": stop what listens there and try again");
    }
}

# So many ports that are free now.
sub free_ports {
    my ($count) = @_;

    my @taken = map {
        IO::Socket::INET->new(Proto => 'tcp', LocalAddr => '127.0.0.1', Listen => 1)
            // give_up("no port is free: $!")
    } 1 .. $count;
    return map { $_->sockport() } @taken;
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

# A configuration without the module, whose directives and variables are on lines of their own.
sub plain {
    my ($text) = @_;
    return join "\n", map { /^\s*#/ || !/load_module|sticky/ ? $_ : '' } split /\n/, "$text\n";
}

sub sticky_line { $_[0] =~ /^\s*(sticky\s[^;]*;)/m ? $1 : 'sticky' }

sub no_handlers { @SIG{qw/ INT TERM HUP QUIT PIPE /} = ('DEFAULT') x 5 }

# Starts a command, whose output goes into a file of logs/.
sub start {
    my ($what, $log, @command) = @_;

    my $pid = fork() // give_up("cannot fork: $!");
    if ($pid == 0) {
        no_handlers();
        open STDIN, '<', File::Spec->devnull();
        open STDOUT, '>>', "$dir/logs/$log";
        open STDERR, '>&', \*STDOUT;
        exec { $command[0] } @command or POSIX::_exit(127);
    }

    $children{$pid} = $what;
    return $pid;
}

sub start_shops {
    my @addresses = @_;

    my $number = 0;
    for my $address (@addresses) {
        $number++;
        start("shop-$number", "shop-$number.log", $^X, "$demo/shop", $address, "shop-$number");
    }
    await_socket($_) for @addresses;
}

# Waits until a child has written a file, as nginx writes its pid when it listens: before that,
# another process may answer there.
sub await_file {
    my ($pid, $file, $what) = @_;

    for (1 .. 100) {
        return if -s $file;
        if (waitpid($pid, WNOHANG) == $pid) {
            delete $children{$pid};
            give_up("$what did not start" . log_tail());
        }
        sleep 0.05;
    }

    give_up("$what does not start" . log_tail());
}

sub await_socket {
    my ($address) = @_;

    for (1 .. 100) {
        return if IO::Socket::INET->new(Proto => 'tcp', PeerAddr => $address, Timeout => 1);
        sleep 0.05;
    }

    give_up("nothing listens on $address" . log_tail());
}

# The name of a child that has ended by itself.
sub children_gone {
    my $gone = waitpid -1, WNOHANG;
    return $gone > 0 ? delete $children{$gone} // 'a process' : undef;
}

sub log_tail {
    my $tail = '';
    for my $path ($dir ? glob "$dir/logs/*.log" : ()) {
        next if $path =~ /access/ || !-s $path;
        my @lines = grep { !/\Ashop \S+ on / } split /\n/, read_file($path);
        splice @lines, 0, -10;
        my ($name) = $path =~ m{([^/]+)\z};
        $tail .= "\n$name:\n" . join('', map { "    $_\n" } @lines) if @lines;
    }
    return $tail;
}

# Runs sessions through these addresses, see demo/walk. Returns the fields of the result, with
# requests by server. While the sessions walk, `meanwhile` is called with the share of steps done, as
# often as that is printed.
sub walk {
    my ($addresses, $options, $meanwhile) = @_;

    my $pid = open(my $output, '-|') // give_up("cannot fork: $!");

    if ($pid == 0) {
        no_handlers();
        exec($^X, "$demo/walk", (map { "http://$_" } @$addresses), @$options)
            or POSIX::_exit(127);
    }

    $children{$pid} = 'walk';
    my $line;
    while (my $read = <$output>) {
        $line = $read if $read =~ /\Aresult /;
        $meanwhile->($1) if $meanwhile && $read =~ /\Adone ([\d.]+)/;
    }
    close $output;
    delete $children{$pid};

    give_up('the walk gave no result' . log_tail()) unless defined $line;
    my %result = $line =~ /(\w+)=(\S*)/g;
    $result{by_server} = { map { split /:/ } split /,/, $result{servers} };

    return \%result;
}

sub bar {
    my ($label, $count, $whole) = @_;
    my $width = 40;

    # At least one mark for a count above 0.
    my $filled = $whole ? int($count / $whole * $width + 0.5) : 0;
    $filled = 1 if $count > 0 && $filled == 0;
    printf "  %-12s %6d |%-${width}s|\n", $label, $count, '#' x $filled;
}

sub end_children {
    my @pids = @_;

    for my $signal (qw/ TERM KILL /) {
        kill $signal, $_ for @pids;
        for (1 .. 60) {
            @pids = grep { waitpid($_, WNOHANG) == 0 } @pids;
            last unless @pids;
            sleep 0.05;
        }
    }

    delete @children{@_};
}

1;
