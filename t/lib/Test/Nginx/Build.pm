package Test::Nginx::Build;

# What an nginx was built with, from the output of nginx -V, under the names that nginx's own test
# suite has for it. Asks; what to do about the answer is up to Test::Nginx.

use strict;
use warnings;

use File::Spec;

sub new {
    my ($class, $nginx) = @_;
    return bless { nginx => $nginx, text => `$nginx -V 2>&1` // '' }, $class;
}

# Modules that are in unless configure was told otherwise.
my %built_in = map { $_ => 1 } (
    (map { "http_$_" } qw/
        charset gzip ssi mirror userid access auth_basic autoindex geo map referer rewrite proxy
        fastcgi uwsgi scgi grpc memcached limit_conn limit_req empty_gif browser split_clients
        tunnel upstream_hash upstream_ip_hash upstream_least_conn upstream_least_time
        upstream_random upstream_keepalive upstream_zone upstream_sticky
    /),
    qw/
        mail_pop3 mail_imap mail_smtp stream_access stream_geo stream_limit_conn stream_map
        stream_pass stream_return stream_set stream_split_clients stream_upstream_hash
        stream_upstream_least_conn stream_upstream_least_time stream_upstream_random
        stream_upstream_zone
    /,
);

# Modules that can be separate files: what a test calls them => [option, file].
my %loadable = (
    http_geoip   => ['http_geoip_module', 'ngx_http_geoip_module'],
    image_filter => ['http_image_filter_module', 'ngx_http_image_filter_module'],
    perl         => ['http_perl_module', 'ngx_http_perl_module'],
    xslt         => ['http_xslt_module', 'ngx_http_xslt_filter_module'],
    mail         => ['mail', 'ngx_mail_module'],
    stream       => ['stream', 'ngx_stream_module'],
    stream_geoip => ['stream_geoip_module', 'ngx_stream_geoip_module'],
);

# A name that is not known is looked for in the output of nginx -V as a regular expression.
sub has_module {
    my ($self, $name) = @_;

    my $build = $self->{text};

    if (my $module = $loadable{$name}) {
        my ($option, $file) = @$module;
        return 1 if $build =~ /--with-$option(?!\S)/;
        return 1 if ($ENV{TEST_NGINX_GLOBALS} // '') =~ /load_module\s[^;]*$file[-\w]*\.so\s*;/;
        return $self->module_file($name) ? 1 : 0;
    }

    for my $known ("http_$name", "mail_$name", $name) {
        return $build !~ /--without-\Q$known\E_module(?!\S)/ if $built_in{$known};
    }

    my %spelt = (
        sni   => qr/TLS SNI support enabled/,
        http  => qr/\A(?!.*--without-http(?!\S))/s,
        cache => qr/\A(?!.*--without-http-cache(?!\S))/s,
        pcre  => qr/\A(?!.*--without-pcre(?!\S))/s,
        (map { $_ => qr/--with-http_${_}_module/ } qw/ flv auth_request realip sub /),
        stream_ssl => qr/--with-stream_ssl_module/,
    );
    my $pattern = $spelt{$name} // $name;

    return $build =~ $pattern ? 1 : 0;
}

# What is no module, but may be missing as well.
sub has_feature {
    my ($self, $name) = @_;

    return 1 if $name =~ /\A(?:symlink|unix|udp)\z/;

    if ($name eq 'cryptx') {
        return eval { require Crypt::Misc; Crypt::Misc->VERSION(0.067); 1 } ? 1 : 0;
    }

    if ($name =~ /\A(openssl|libressl):([\d.]+)([a-z]*)\z/) {
        my ($library, $version, $patch) = ($1, $2, $3);
        return 0 unless $self->{text} =~ /with $library ([\d.]+)([a-z]*)/i;
        return not_older(
            [split(/\./, $1), unpack('C*', $2)],
            [split(/\./, $version), unpack('C*', $patch)],
        );
    }

    return 0;
}

sub has_version {
    my ($self, $version) = @_;
    my ($ours) = $self->{text} =~ m{nginx version: nginx/([\d.]+)} or return 0;
    return not_older([split /\./, $ours], [split /\./, $version]);
}

sub not_older {
    my ($have, $need) = @_;

    for my $i (0 .. $#$need) {
        my $order = ($have->[$i] // 0) <=> $need->[$i];
        return $order > 0 ? 1 : 0 if $order;
    }

    return 1;
}

# nginx -V speaks of a separate file that a distribution may have put into a package of its own.
# Only a file that is there counts, where nginx's library would write a load_module that fails.
sub module_file {
    my ($self, $name) = @_;
    my ($option, $file) = @{ $loadable{$name} };

    return undef unless $self->{text} =~ /--with-$option=dynamic(?!\S)/;

    my ($volume, $folder) = File::Spec->splitpath($self->{nginx});
    my $modules = $ENV{TEST_NGINX_MODULES} // File::Spec->catpath($volume, $folder, '');
    my $path = File::Spec->rel2abs($modules) . "/$file.so";

    return -e $path ? $path : undef;
}

# Every module that is a separate file and there, in an order in which they can be loaded:
# stream_geoip needs stream.
sub module_files {
    my ($self) = @_;
    return grep { defined } map { $self->module_file($_) } sort keys %loadable;
}

1;
