/* For tools that put what they read of clock and chance into what they build: with this library preloaded, the library whose
 * path holds SAME_IN reads the same each time. Everything else reads what it always did, since a program whose clock
 * stands still waits for ever.
 *
 *   cc -shared -fPIC -O1 -o same.so same.c -ldl
 *   SAME_IN=componentize-qjs LD_PRELOAD=./same.so componentize-qjs ...
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static int is_meant(const void *caller)
{
    Dl_info info;
    const char *name = getenv("SAME_IN");
    return name != NULL && dladdr(caller, &info) != 0 && info.dli_fname != NULL && strstr(info.dli_fname, name) != NULL;
}

ssize_t getrandom(void *bytes, size_t count, unsigned flags)
{
    if (!is_meant(__builtin_return_address(0)))
        return syscall(SYS_getrandom, bytes, count, flags);
    memset(bytes, 7, count);
    return (ssize_t)count;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    if (!is_meant(__builtin_return_address(0)))
        return (int)syscall(SYS_clock_gettime, clock, now);
    *now = (struct timespec){.tv_sec = 1700000000};
    return 0;
}
