/* Gives a program the address of a visitor: in LD_PRELOAD, its connections to the loopback address begin
 * at the address that STICKY_VISITOR names. Programs that do without libc, such as those in Go, are not
 * reached. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    int (*original)(int, const struct sockaddr *, socklen_t) =
        (int (*)(int, const struct sockaddr *, socklen_t)) dlsym(RTLD_NEXT, "connect");
    const struct sockaddr_in *to = (const struct sockaddr_in *) address;
    const char *visitor = getenv("STICKY_VISITOR");

    if (visitor != NULL && length >= sizeof *to && to->sin_family == AF_INET
        && to->sin_addr.s_addr == htonl(INADDR_LOOPBACK)) {
        struct sockaddr_in own = { .sin_family = AF_INET };
        /* One that is bound already, or datagrams of a resolver, go on as they are. */
        if (inet_pton(AF_INET, visitor, &own.sin_addr) == 1) {
            (void) bind(fd, (struct sockaddr *) &own, sizeof own);
        }
    }

    return original(fd, address, length);
}
