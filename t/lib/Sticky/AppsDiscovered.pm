package Sticky::AppsDiscovered;

# Real applications behind `sticky mode=discover;`, for the tests in t/apps: visitors walk through each,
# every one from an address of its own, while the requests go round robin, so that sessions break as they do
# where somebody looks for the line. What is proposed then is held against what is known of it.

use strict;
use warnings;

use Exporter qw/ import /;
use JSON::PP qw/ decode_json /;
use POSIX ();
use Test::More;
use Test::Nginx qw/ http port /;

use Sticky::Apps qw/ app published walked /;
use Sticky::Readme qw/ published_text /;

our @EXPORT_OK = qw/ proposes /;

# More than the 20 that a certain line wants: some get nowhere, where their sessions break.
use constant VISITORS => 30;

# So many of them at once.
use constant AT_ONCE => 3;

# Walks visitors through the applications of a configuration, whose `sticky` lines are replaced. Each
# application is a title, its upstream, and what is expected of it: the `line` that comes first, `others` that
# are proposed as well and have to go with it, what no proposal has `besides`, whether it is `uncertain`, and its
# `walks`, as holds() has them, with the number of sessions among the words of the command. A function in place of a
# command is called for each visitor, with STICKY_VISITOR in the environment. Three tests an application, and one more
# where there are `others`: the last one is that all sessions hold with the line, or with all of them in one.
#
# `replace` has what published() replaces. `balancer` is written before the line: `hash $remote_addr;` keeps a
# visitor at one server, for applications that get nowhere otherwise. With STICKY_SHOWN all is printed
# that is found.
sub proposes {
    my ($t, $name, $applications, %options) = @_;
    my %replace = %{ $options{replace} // {} };
    my $discover = ($options{balancer} // '') . "\nsticky mode=discover;";
    my @upstreams = published_text($name) =~ /^ *upstream (\S+) \{/mg;
    published($t, $name, { map { $_ => $discover } @upstreams }, %replace);
    # Its ports are those of the test by now.
    my $text = $t->read_file('nginx.conf');
    my $listen = '127.0.0.1:' . port(8098);
    $text =~ s/\}\s*\z/server {\nlisten $listen;\nlocation \/status { sticky_status; }\n}\n}\n/
        or die "$name does not end in a block\n";
    $t->write_file('nginx.conf', $text);
    $t->run();
    my %line;
    for my $it (@$applications) {
        visit($t, @{ $it->{walks} });
        my $found = discovered($it->{upstream});
        my @candidates = @{ $found->{candidates} };
        my $best = $candidates[0] // {};
        note(explain($found)) if $ENV{STICKY_SHOWN};
        my @others = @{ $it->{others} // [] };
        $line{ $it->{upstream} } = in_one($it->{besides}, $best->{directive} // 'sticky;', @others);
        is($best->{directive}, $it->{line}, "$it->{title}: the line that is proposed") or diag(explain($found));
        is(exists $best->{uncertain} ? 'uncertain' : 'certain', $it->{uncertain} ? 'uncertain' : 'certain',
            "$it->{title}: whether it is certain");
        next unless @others;
        my %proposed = map { $_->{directive} => 1 } @candidates;
        is_deeply([grep { !$proposed{$_} } @others], [], "$it->{title}: what goes with it") or diag(explain($found));
    }
    $t->stop();

    published($t, $name, { map { $_ => $line{$_} // 'sticky;' } @upstreams }, %replace);
    $t->run();
    for my $it (@$applications) {
        my @lost = grep { $_->{good} != $_->{of} } map { { walked_all(@$_), of => $_->[1] } } @{ $it->{walks} };
        is_deeply(\@lost, [], "$it->{title}: sessions hold with $line{ $it->{upstream} }");
    }
    $t->stop();
    return;
}

# Lines in one: their `name=`, `from=` and `learn=` put together, and what is written besides.
sub in_one {
    my ($besides, @lines) = @_;
    return $lines[0] if @lines == 1;
    my (@names, %places, %is_known);
    for my $line (@lines) {
        push @names, $line =~ / (name=[^\s;]+)/g;
        # What a line means that does not say it comes first.
        my %own = (from => 'cookie,path,query,form', learn => 'html,location,cookie',
            $line =~ / (from|learn)=([^\s;]+)/g);
        for my $word (keys %own) {
            push @{ $places{$word} }, grep { !$is_known{"$word $_"}++ } split /,/, $own{$word};
        }
    }
    my @places = map { "$_=" . join ',', @{ $places{$_} } } qw/ from learn /;
    return join(' ', 'sticky mode=query', @names, @places, $besides // ()) . ';';
}

sub walked_all {
    my ($title, $sessions, @command) = @_;
    return (title => $title, %{ ref $command[0] ? $command[0]->($sessions) : walked(@command) });
}

# Every visitor walks all of the walks, alone.
sub visit {
    my ($t, @walks) = @_;
    my $library = library($t);
    my @workers = map { worker($library, $_, @walks) } 1 .. AT_ONCE;
    waitpid $_, 0 for @workers;
    return;
}

sub worker {
    my ($library, $first, @walks) = @_;
    my $worker = fork() // die "Can't fork: $!";
    return $worker if $worker;
    for (my $visitor = $first; $visitor <= VISITORS; $visitor += AT_ONCE) {
        for my $walk (@walks) {
            my ($title, $sessions, @command) = @$walk;
            local $ENV{STICKY_VISITOR} = "127.0.1.$visitor";
            if (ref $command[0]) {
                $command[0]->($visitor);
                next;
            }
            my ($at) = grep { $command[$_] eq $sessions } 0 .. $#command;
            $command[$at] = 1;
            local $ENV{LD_PRELOAD} = $library;
            my $result = eval { walked(@command) };
            note("$title, visitor $visitor: ", explain($result)) if $ENV{STICKY_SHOWN};
        }
    }
    POSIX::_exit(0);
}

sub library {
    my ($t) = @_;
    my $library = $t->testdir() . '/visitor.so';
    -e $library or system('cc', '-shared', '-fPIC', '-o', $library, app('lib/visitor.c'), '-ldl') == 0
        or die "Can't compile visitor.c\n";
    return $library;
}

sub discovered {
    my ($upstream) = @_;
    my $reply = http("GET /status/json HTTP/1.0\x0d\x0a\x0d\x0a", PeerAddr => '127.0.0.1:' . port(8098));
    my $all = decode_json((split /\x0d\x0a\x0d\x0a/, $reply, 2)[1]);
    my ($shown) = grep { $_->{name} eq $upstream } @{ $all->{upstreams} };
    return $shown->{discover} // die "no upstream $upstream\n";
}

1;
