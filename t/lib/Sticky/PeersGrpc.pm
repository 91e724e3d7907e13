package Sticky::PeersGrpc;

# gRPC servers and a client, both of Debian's python3-grpcio. Messages are bytes and methods are
# registered by name, so that no protocol compiler is needed.
#
# The servers have a method of each shape: Say (one message, one answer), Listen (one message, three
# answers) and Talk (an answer for each message); they answer their name and the message. The client
# does what the words on its command line say, each SHAPE, SHAPE=COOKIE or SHAPE@ROUTE (for metadata
# x-route), one call after the other, or with `together` in front, all at once, on one connection,
# and prints of each: the answers, the cookies that came, and the status of nginx.

use strict;
use warnings;

use Exporter qw/ import /;

use Sticky::Peers qw/ python /;

our @EXPORT_OK = qw/ grpc_server grpc_calls /;

sub grpc_server {
    my ($t, @ports) = @_;

    $t->write_file('grpc_server.py', <<'EOC');
import sys, grpc
from concurrent import futures

name = sys.argv[1]

def answer(message):
    return name.encode() + b'/' + message

def say(message, context):
    if message == b'fail':
        context.abort(grpc.StatusCode.UNAVAILABLE, name)
    return answer(message)

def listen(message, context):
    for _ in range(3):
        yield answer(message)

def talk(messages, context):
    for message in messages:
        yield answer(message)

server = grpc.server(futures.ThreadPoolExecutor(max_workers=8), options=[('grpc.so_reuseport', 0)])
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler('shop.Shop', {
    'Say': grpc.unary_unary_rpc_method_handler(say),
    'Listen': grpc.unary_stream_rpc_method_handler(listen),
    'Talk': grpc.stream_stream_rpc_method_handler(talk),
}),))
if not server.add_insecure_port('127.0.0.1:' + name):
    sys.exit('no port ' + name)
server.start()
server.wait_for_termination()
EOC

    $t->run_daemon(python('grpc'), $t->testdir() . '/grpc_server.py', $_) for @ports;
}

# What came of these calls: for each, a reference to its answers, cookie and status.
sub grpc_calls {
    my ($t, $port, $prefix, @calls) = @_;

    $t->write_file('grpc_client.py', <<'EOC');
import re, sys, grpc

port, prefix, *calls = sys.argv[1:]
together = calls[0] == 'together'
channel = grpc.insecure_channel('127.0.0.1:' + port)

def start(call):
    shape, sign, value = re.match('([A-Z][a-z]+)(.?)(.*)', call).groups()
    metadata = [('cookie' if sign == '=' else 'x-route', value)] if sign else []
    path = '/shop.Shop/' + shape
    options = dict(metadata=metadata + [('x-upstream', prefix)], timeout=60)
    if shape == 'Say':
        return channel.unary_unary(path).future(b'a', **options)
    if shape == 'Fail':
        return channel.unary_unary('/shop.Shop/Say').future(b'fail', **options)
    if shape == 'Listen':
        return channel.unary_stream(path)(b'b', **options)
    return channel.stream_stream(path)(iter([b'c', b'd']), **options)

def finish(call, done):
    try:
        answers = [done.result()] if call[0] in 'SF' else list(done)
        text = ' '.join(answer.decode() for answer in answers)
    except grpc.RpcError as error:
        text = '%s %s' % (error.code().name, error.details())
    headers = dict(done.initial_metadata() or ())
    print(text, headers.get('set-cookie', ''), headers.get('x-status', ''), sep='|', flush=True)

if together:
    begun = [(call, start(call)) for call in calls[1:]]
    for call, done in begun:
        finish(call, done)
else:
    for call in calls:
        finish(call, start(call))
EOC

    my @command = (python('grpc'), $t->testdir() . '/grpc_client.py', $port, $prefix, @calls);
    open my $output, '-|', @command or die "Can't run python: $!";
    my @lines = map { chomp; [split /\|/, $_, -1] } <$output>;
    close $output;

    return @lines;
}

1;
