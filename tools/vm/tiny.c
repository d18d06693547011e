/*
 * tiny: all that runs in the containers of jobs/containers.sh, a few KiB without a C library.
 * Any number of operations, in order:
 *
 *   put PATH TEXT     write TEXT and a newline
 *   fill PATH KIB     write KIB KiB of lines that tell where they stand
 *   rm PATH           remove a file
 *   sleep SECONDS
 *
 * A failure is the exit code: the number of the operation, from 1 on.
 */
#include <asm/unistd_64.h>
#include <fcntl.h>
#include <time.h>

static long call(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return result;
}

static long length(const char *text)
{
	long n = 0;

	while (text[n])
		n++;
	return n;
}

static long number(const char *text)
{
	long n = 0;

	while (*text)
		n = 10 * n + (*text++ - '0');
	return n;
}

static int create(const char *path)
{
	return call(__NR_open, (long)path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
}

static int put(const char *path, const char *text)
{
	int fd = create(path);

	return fd < 0 || call(__NR_write, fd, (long)text, length(text)) < 0 ||
	       call(__NR_write, fd, (long)"\n", 1) < 0 || call(__NR_fsync, fd, 0, 0) < 0 ||
	       call(__NR_close, fd, 0, 0) < 0;
}

static int fill(const char *path, long kib)
{
	static char line[1024];
	int fd = create(path);

	for (long i = 0; fd >= 0 && i < kib; i++) {
		long rest = i;

		for (int at = 0; at < 1023; at++)
			line[at] = '.';
		for (int at = 9; at >= 0; at--, rest /= 10)
			line[at] = '0' + rest % 10;
		line[1023] = '\n';
		if (call(__NR_write, fd, (long)line, sizeof(line)) != sizeof(line))
			return 1;
	}
	return fd < 0 || call(__NR_fsync, fd, 0, 0) < 0 || call(__NR_close, fd, 0, 0) < 0;
}

__attribute__((used)) static void run(long *stack)
{
	char **word = (char **)(stack + 2);
	long failed = 0, done = 0;

	while (*word && !failed) {
		char operation = **word++;

		done++;
		if (operation == 'p') {
			failed = put(word[0], word[1]);
			word += 2;
		} else if (operation == 'f') {
			failed = fill(word[0], number(word[1]));
			word += 2;
		} else if (operation == 'r') {
			failed = call(__NR_unlink, (long)*word++, 0, 0) < 0;
		} else {
			struct timespec time = {number(*word++), 0};

			failed = call(__NR_nanosleep, (long)&time, 0, 0) < 0;
		}
	}
	call(__NR_exit_group, failed ? done : 0, 0, 0);
}

__asm__(".globl _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call run\n");
