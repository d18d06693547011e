/*
 * blkw: direct I/O on block devices, by a script on stdin. One operation a line:
 *
 *   w PATH OFF LEN TAG            write LEN bytes at OFF
 *   r PATH SEED N SPAN LEN TAG    N writes of LEN bytes at LEN-aligned pseudo-random
 *                                 offsets below SPAN
 *   d PATH OFF LEN                discard
 *   z PATH OFF LEN                zero out
 *   s PATH                        fsync
 *   c                             close all
 *
 * Every 512-byte sector written begins with "TAG off=<byte offset>\n" and is filled up
 * with dots, so that it tells where it belongs. A failure is reported and the script goes
 * on; the exit code is then 1.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/fs.h>

#define SECTOR 512
#define BUFFER (1 << 20)

static struct {
    char path[200];
    int fd;
} opened[512];
static int nr_opened;
static int failed;
static char *buffer;

static void fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    failed = 1;
}

static int open_once(const char *path)
{
    for (int i = 0; i < nr_opened; i++)
        if (!strcmp(opened[i].path, path))
            return opened[i].fd;

    int fd = open(path, O_RDWR | O_DIRECT);
    if (fd < 0) {
        fail(path);
        return -1;
    }
    snprintf(opened[nr_opened].path, sizeof(opened[0].path), "%s", path);
    opened[nr_opened++].fd = fd;
    return fd;
}

static void write_stamped(int fd, uint64_t offset, uint64_t length, const char *tag)
{
    while (length) {
        uint64_t n = length < BUFFER ? length : BUFFER;

        for (uint64_t at = 0; at < n; at += SECTOR) {
            char stamp[128];
            int k = snprintf(stamp, sizeof(stamp), "%s off=%llu\n", tag,
                             (unsigned long long)(offset + at));
            memset(buffer + at, '.', SECTOR);
            memcpy(buffer + at, stamp, k);
        }
        if (pwrite(fd, buffer, n, offset) != (ssize_t)n) {
            fail("write");
            return;
        }
        offset += n;
        length -= n;
    }
}

static void write_random(int fd, uint64_t seed, uint64_t count, uint64_t span, uint64_t length,
                         const char *tag)
{
    /* xorshift: the same offsets for the same seed, wherever it runs. */
    uint64_t x = seed * 0x9E3779B97F4A7C15ull + 1;

    for (uint64_t i = 0; i < count; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        write_stamped(fd, x % (span / length) * length, length, tag);
    }
}

static void close_all(void)
{
    for (int i = 0; i < nr_opened; i++)
        close(opened[i].fd);
    nr_opened = 0;
}

static void run(const char *line)
{
    char op = line[0], path[200] = "", tag[100] = "x";
    unsigned long long a = 0, b = 0, c = 0, d = 0;
    int fields, fd;

    if (op == '#' || op == '\n')
        return;
    if (op == 'c') {
        close_all();
        return;
    }
    if (op == 'r') {
        fields = sscanf(line + 1, "%199s %llu %llu %llu %llu %99s", path, &a, &b, &c, &d, tag);
        if (fields < 5) {
            fprintf(stderr, "bad line %s", line);
            failed = 1;
            return;
        }
    } else {
        sscanf(line + 1, "%199s %llu %llu %99s", path, &a, &b, tag);
    }
    fd = open_once(path);
    if (fd < 0)
        return;

    uint64_t range[2] = { a, b };

    switch (op) {
    case 'w':
        write_stamped(fd, a, b, tag);
        break;
    case 'r':
        write_random(fd, a, b, c, d, tag);
        break;
    case 'd':
        if (ioctl(fd, BLKDISCARD, range))
            fail("discard");
        break;
    case 'z':
        if (ioctl(fd, BLKZEROOUT, range))
            fail("zeroout");
        break;
    case 's':
        if (fsync(fd))
            fail("fsync");
        break;
    default:
        fprintf(stderr, "bad line %s", line);
        failed = 1;
    }
}

int main(void)
{
    char line[1024];

    if (posix_memalign((void **)&buffer, 4096, BUFFER))
        return 1;
    while (fgets(line, sizeof(line), stdin))
        run(line);
    return failed;
}
