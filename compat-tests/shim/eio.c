/* A disk that fails once, for a process that is started with this library in LD_PRELOAD: the next
 * fdatasync (pwrite64) after the file that EIO_FDATASYNC (EIO_PWRITE) names has appeared ends with
 * EIO, and takes the file away. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

static int fails(const char *variable)
{
    const char *file = getenv(variable);
    int before = errno;
    if (file && unlink(file) == 0) {
        errno = EIO;
        return 1;
    }
    errno = before;
    return 0;
}

int fdatasync(int file)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    return fails("EIO_FDATASYNC") ? -1 : real(file);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at)
{
    ssize_t (*real)(int, const void *, size_t, off64_t) =
        (ssize_t (*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    return fails("EIO_PWRITE") ? -1 : real(file, bytes, count, at);
}
