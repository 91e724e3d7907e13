package Sticky::Configuration;

# What nginx says of a configuration: `nginx -t` over a small one, without starting anything.
#
# nginx.conf is written once and includes case.conf in its http block, so that the line numbers in
# the messages are those of the text under test, whatever a test library puts at the top.

use strict;
use warnings;

use Exporter qw/ import /;
use POSIX ();
use Test::Nginx ();

our @EXPORT_OK = qw/ prepare verdict verdict_on_upstream /;

sub prepare {
    my ($t) = @_;

    $t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include case.conf;
}

EOC

    return $t;
}

# What nginx prints about this text in the http block: nothing when it is accepted, else all its
# messages, with the folder taken out of the file's name.
sub verdict {
    my ($t, $text) = @_;
    my $folder = $t->testdir();

    $t->write_file('case.conf', $text);

    my $pid = open(my $output, '-|') // die "Can't fork: $!";
    if ($pid == 0) {
        open STDERR, '>&', \*STDOUT or POSIX::_exit(127);
        exec { $Test::Nginx::NGINX } $Test::Nginx::NGINX,
            '-t', '-p', "$folder/", '-c', 'nginx.conf', '-e', 'error.log'
            or POSIX::_exit(127);
    }
    my @lines = <$output>;
    close $output;
    my $status = $?;

    my $end = join '|', 'syntax is ok', 'test is successful', 'test failed';
    my @messages = grep { !/^nginx: (?:the )?configuration file .*nginx\.conf (?:$end)$/ } @lines;
    push @messages, "nginx refuses this without a message\n" if $status && !@messages;
    push @messages, "and yet it is accepted\n" if !$status && grep { /\[emerg\]/ } @messages;

    return join('', @messages) =~ s/\Q$folder\E\///gr;
}

# The same for one upstream with these lines, the first of which is line 2.
sub verdict_on_upstream {
    my ($t, @lines) = @_;
    my $lines = join "\n    ", @lines, 'server 127.0.0.1:9;';
    return verdict($t, "upstream u {\n    $lines\n}\n");
}

1;
