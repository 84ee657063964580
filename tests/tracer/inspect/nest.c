/* SPDX-License-Identifier: MIT */
/*
 * A target that does what the letters of argv[1] say, then writes a byte to stdout and pauses.
 * "inspect_nest abca": main -> nest_a -> nest_b -> nest_c -> nest_a -> pause.
 *   a b c  go on in that function      s  go on in a signal handler
 *   i      go on in a function that is inlined
 *   u      go on, on a stack of its own that ends there, as coroutines do
 *   t      go on in a second thread  T  the same, and the first ends
 *   r      compute for ever, where only the red zone says who called
 *   v      read the clock for ever     w  write a byte, then wait for SIGUSR1
 *   m      map argv[2]'s code           x  start anew, with the letters that follow
 *   d      map a piece of its own file once more, as code, below all else
 *   j      go on through code made now, named argv[2]-0, -1, ... in /tmp/perf-PID.map
 *   J      the same without a word in the map
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Where the linker puts a program's code, after the page of headers. */
#define CODE_OFFSET 4096

static char **arguments;
static const char *rest;
static volatile sig_atomic_t woken;
static char own_stack[128 * 1024] __attribute__((aligned(16)));

/* The outermost frame of a coroutine: no caller, and .eh_frame says so. */
void own_entry(char *top);
void on_own_stack(void);
__asm__(".type own_entry, @function\n"
	"own_entry:\n"
	".cfi_startproc\n"
	".cfi_undefined rip\n"
	"	mov %rdi, %rsp\n"
	"	call on_own_stack\n"
	"	ud2\n"
	".cfi_endproc\n"
	".size own_entry, . - own_entry\n");

/* As OpenSSL's SHA-512 does it: the stack pointer of the caller lies below its own. */
void spin_aligned(void);
__asm__(".type spin_aligned, @function\n"
	"spin_aligned:\n"
	".cfi_startproc\n"
	"	mov %rsp, %rax\n"
	".cfi_def_cfa %rax, 8\n"
	"	sub $1000, %rsp\n"
	"	and $-256, %rsp\n"
	"	mov %rax, -8(%rsp)\n"
	/* DW_CFA_def_cfa_expression: DW_OP_breg7 -8, DW_OP_deref, DW_OP_plus_uconst 8 */
	".cfi_escape 0x0f, 5, 0x77, 0x78, 0x06, 0x23, 8\n"
	"	xor %eax, %eax\n"
	"1:	inc %rax\n"
	"	jmp 1b\n"
	".cfi_endproc\n"
	".size spin_aligned, . - spin_aligned\n");

int nest_a(const char *path), nest_b(const char *path), nest_c(const char *path);

static int descend(const char *path);

static void on_signal(int sig)
{
	(void)sig;
	descend(rest);
}

static void on_wake(int sig)
{
	(void)sig;
	woken = 1;
}

void on_own_stack(void)
{
	descend(rest);
	_exit(0);
}

static int say_ready(void)
{
	return write(1, "r", 1) == 1 ? 0 : -1;
}

static int map_file(void)
{
	struct stat st;
	int fd = open(arguments[2], O_RDONLY);

	if (fd < 0 || fstat(fd, &st) < 0 ||
	    mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, CODE_OFFSET) ==
		    MAP_FAILED)
		return -1;
	return close(fd);
}

static int map_piece(void)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	void *low = (void *)0x10000000; /* NOLINT(performance-no-int-to-ptr) */

	if (fd < 0 ||
	    mmap(low, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 2 * CODE_OFFSET) != low)
		return -1;
	return close(fd);
}

static int wait_for_signal(void)
{
	const struct timespec second = {.tv_sec = 1};

	woken = 0;
	if (signal(SIGUSR1, on_wake) == SIG_ERR || say_ready() < 0)
		return -1;
	while (!woken)
		clock_nanosleep(CLOCK_MONOTONIC, 0, &second, NULL);
	return 0;
}

static int name_code(const void *code, size_t size)
{
	static int n;
	char path[64];

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	FILE *f = fopen(path, "a");
	if (!f)
		return -1;
	fprintf(f, "%lx %zx %s-%d\n", (unsigned long)code, size, arguments[2], n++);
	return fclose(f);
}

/* push %rbp; mov %rsp, %rbp; movabs $descend, %rax; call *%rax; pop %rbp; ret */
static int go_on_in_made_code(const char *path, int named)
{
	unsigned char code[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0xb8, 0,	  0,	0,
				0,    0,    0,	  0,	0,    0xff, 0xd0, 0x5d, 0xc3};
	int (*const next)(const char *) = descend;
	int (*made)(const char *);
	char *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memcpy(code + 6, &next, sizeof(next));
	if (at == MAP_FAILED)
		return -1;
	memcpy(at + 64, code, sizeof(code));
	if (mprotect(at, 4096, PROT_READ | PROT_EXEC) < 0 ||
	    (named && name_code(at + 64, sizeof(code)) < 0))
		return -1;
	at += 64;
	memcpy(&made, &at, sizeof(made));
	return made(path);
}

static void start_anew(const char *path)
{
	char *argv[] = {arguments[0], (char *)path, NULL};

	execv(argv[0], argv);
}

static void *on_thread(void *arg)
{
	descend(arg);
	return NULL;
}

static void go_on_in_thread(const char *path, int leave)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, on_thread, (void *)path) != 0)
		return;
	if (leave)
		pthread_exit(NULL);
	pthread_join(thread, NULL);
}

static void read_clock(void)
{
	struct timespec t;

	if (say_ready() == 0)
		for (;;)
			clock_gettime(CLOCK_MONOTONIC, &t);
}

static inline __attribute__((always_inline)) int nest_inlined(const char *path)
{
	int r = descend(path);

	__asm__ volatile("" ::: "memory"); /* no tail call */
	return r * 3;
}

static __attribute__((noinline)) int descend(const char *path)
{
	int r = 0;

	rest = path + 1;
	switch (*path) {
	case 'a':
		r = nest_a(path + 1);
		break;
	case 'b':
		r = nest_b(path + 1);
		break;
	case 'c':
		r = nest_c(path + 1);
		break;
	case 'i':
		r = nest_inlined(path + 1);
		break;
	case 's':
		signal(SIGUSR2, on_signal);
		raise(SIGUSR2);
		break;
	case 't':
	case 'T':
		go_on_in_thread(path + 1, *path == 'T');
		break;
	case 'u':
		own_entry(own_stack + sizeof(own_stack));
		break;
	case 'r':
		if (say_ready() == 0)
			spin_aligned();
		break;
	case 'v':
		read_clock();
		break;
	case 'w':
		r = wait_for_signal() < 0 ? 0 : descend(path + 1);
		break;
	case 'm':
		r = map_file() < 0 ? 0 : descend(path + 1);
		break;
	case 'd':
		r = map_piece() < 0 ? 0 : descend(path + 1);
		break;
	case 'j':
	case 'J':
		r = go_on_in_made_code(path + 1, *path == 'j');
		break;
	case 'x':
		start_anew(path + 1);
		break;
	default:
		if (say_ready() == 0)
			pause();
	}
	__asm__ volatile("" ::: "memory"); /* no tail call */
	return r + 1;
}

/* Each with a frame of another size, so that no constant fits all. */
#define NEST(name, size)                                                                           \
	__attribute__((noinline, noclone)) int name(const char *path)                              \
	{                                                                                          \
		volatile char room[size];                                                          \
		room[0] = *path;                                                                   \
		int r = descend(path);                                                             \
		return r + room[0];                                                                \
	}
NEST(nest_a, 24)
NEST(nest_b, 200)
NEST(nest_c, 1032)

int main(int argc, char **argv)
{
	arguments = argv;
	if (argc < 2)
		return 2;
	return descend(argv[1]) + 1; /* no tail call */
}
