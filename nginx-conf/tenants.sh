#!/bin/sh
# Writes tenants for tenants.conf, for nginx to include:
#
#     nginx-conf/tenants.sh 1000 > tenants.inc
#
# Each has a host name, an upstream, a zone for its own sessions (64 KB: 3,300 of them) and, at
# /sticky, a view of its own upstream alone. Put your own servers in, which are the same for all here.
set -eu

number=1
while [ "$number" -le "$1" ]; do
    cat <<END
upstream tenant$number {
    sticky mode=query name=sid expires=1h zone=tenant$number:64k;
    server 127.0.0.1:8081 max_fails=3;
    server 127.0.0.1:8082 max_fails=3;
    server 127.0.0.1:8083 max_fails=3;
}

server {
    listen 127.0.0.1:8080;
    server_name tenant$number.example.com;

    location / {
        proxy_pass http://tenant$number;
    }

    location /sticky {
        sticky_status upstream=tenant$number;
        allow 127.0.0.1;
        deny  all;
    }
}

END
    number=$((number + 1))
done
