/*
 * Measures the turns of nginx's event loop: how much CPU time of its own a process needs from one
 * epoll_wait() to the next. To be preloaded; see bench-turns.
 *
 * The longest turn so far is kept in the file that TURNS names, which all processes map; whoever
 * reads it sets it back to 0.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct turns {
    uint64_t longest; /* nanoseconds */
    uint64_t count;
    uint64_t all; /* nanoseconds */
};

static int (*next)(int, struct epoll_event *, int, int);
static struct turns *turns;
static uint64_t since;

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void begin(void)
{
    const char *name = getenv("TURNS");
    int file;

    next = (int (*)(int, struct epoll_event *, int, int))dlsym(RTLD_NEXT, "epoll_wait");
    file = name ? open(name, O_RDWR) : -1;
    if (file >= 0) {
        turns = mmap(NULL, sizeof *turns, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        close(file);
    }
    if (turns == MAP_FAILED)
        turns = NULL;
}

int epoll_wait(int epoll, struct epoll_event *events, int size, int timeout)
{
    int result;

    if (!next)
        begin();
    if (turns && since) {
        uint64_t turn = now() - since;
        turns->count++;
        turns->all += turn;
        if (turn > turns->longest)
            turns->longest = turn;
    }
    result = next(epoll, events, size, timeout);
    since = now();
    return result;
}
