/* SPDX-License-Identifier: MIT */
/*
 * This process turns a small event loop and does in its ticks what the programs are for: it sleeps,
 * computes, is woken up by a child, lets a byte wait in a socket. What they told of it is compared
 * with what was done.
 */
#include "proof.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "look.h"
#include "probe.h"
#include "thread.h"

#define SWITCHES "kernel probes (sched_switch)"
#define SAMPLES	 "samples (cpu-clock)"
#define WAKERS	 "who ends a block (sched_waking)"
#define SLEEPERS "threads that sleep (iter/task)"
#define LIVES	 "processes (fork, exec, exit)"
#define VICTIMS	 "who waits (sk_data_ready)"

#define STALL_NS     (10 * LSC_NS_PER_MS)
#define BLOCK_US     5000		   /* this long is slept, */
#define SEEN_NS	     (4 * LSC_NS_PER_MS)   /* and at least so much of it must be told */
#define SAMPLED_NS   (500 * LSC_NS_PER_MS) /* it computes so long for a sample */
#define LOOKED_NS    (LSC_NS_PER_S)	   /* a child must have fallen asleep by then */
#define CHILD_WAITED 3			   /* turns: its end is told as a loop's thread's */

struct proof {
	proof_fn *fn;
	void *arg;
	struct probe *probe;
	int self, epoll;
	/* seen */
	uint64_t loops, block_ns, samples, waited_ns;
	uint32_t waker, forked, execed, exited;
};

static void tell(const struct proof *p, const char *name, const char *why, const char *ok)
{
	p->fn(p->arg, name, why ? "missing" : "ok", why ? why : ok);
}

static void on_event(const struct event *e, size_t size, void *arg)
{
	const struct event_block *b = (const struct event_block *)e;
	const struct event_process *process = (const struct event_process *)e;
	struct proof *p = arg;
	bool own = (int)e->tid == p->self;

	if (e->kind == EVENT_LOOP)
		p->loops += own;
	else if (e->kind == EVENT_SAMPLE)
		p->samples += own;
	else if (e->kind == EVENT_BLOCK && own && size >= sizeof(*b)) {
		p->block_ns = b->wake_ns - b->off_ns;
		p->waker = b->waker_seen ? b->waker_pid : 0;
	} else if (e->kind == EVENT_WAITED && own && size >= sizeof(struct event_waited))
		p->waited_ns = e->ts_ns - ((const struct event_waited *)e)->ready_ns;
	else if (e->kind == EVENT_FORK && size >= sizeof(*process))
		p->forked = process->child;
	else if (e->kind == EVENT_EXEC)
		p->execed = e->tgid;
	else if (e->kind == EVENT_EXIT)
		p->exited = e->tgid;
}

/* The loop's wait: it sleeps so long, or with 0 not at all. */
static void turn(const struct proof *p, int ms)
{
	struct epoll_event ev;

	epoll_wait(p->epoll, &ev, 1, ms);
}

static void prove_switches(struct proof *p)
{
	char text[160];

	for (int i = 0; i < 4; i++) {
		turn(p, 2);
		if (i == 2)
			usleep(BLOCK_US);
	}
	probe_consume(p->probe);
	snprintf(text, sizeof(text), "saw a loop learned and a sleep of %.1f ms inside its tick",
		 (double)p->block_ns / 1e6);
	tell(p, SWITCHES,
	     p->loops && p->block_ns >= SEEN_NS
		     ? NULL
		     : "they load, but an event that was caused here was not seen",
	     text);
}

static void prove_samples(struct proof *p)
{
	uint64_t begin = lsc_now_ns(), now = begin;
	char text[160];

	turn(p, 2);
	for (; !p->samples && now < begin + SAMPLED_NS; now = lsc_now_ns())
		probe_consume(p->probe);
	snprintf(text, sizeof(text), "saw this process compute in a tick, after %.1f ms",
		 (double)(now - begin) / 1e6);
	tell(p, SAMPLES, p->samples ? NULL : "a tick that computed was not sampled", text);
	turn(p, 2);
}

static void prove_returns(struct proof *p)
{
	bool exact = probe_is_exact(p->probe);
	uint64_t before = probe_counter(p->probe, COUNT_PRECISE_EXITS);
	int r = probe_arm(p->probe);

	for (int i = 0; r == 0 && i < 6; i++)
		turn(p, i < 3 ? 0 : 2);
	bool seen = probe_counter(p->probe, COUNT_PRECISE_EXITS) > before;
	tell(p, exact ? "returns from waits (fexit)" : "precise mode (sys_exit)",
	     r < 0  ? strerror(-r)
	     : seen ? NULL
		    : "no return was seen",
	     "saw the returns from a primary wait");
}

/* ---- a child ---- */

struct child {
	int pid;
	int go, back; /* our ends of two pipes; -1 closed */
};

static struct child *child_close(struct child *c)
{
	int status;

	if (c->go >= 0)
		close(c->go);
	if (c->back >= 0)
		close(c->back);
	c->go = c->back = -1;
	if (c->pid > 0)
		while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
			;
	return NULL;
}

/* Turns a loop, too, sleeps until it is told to go on, and wakes us up after a while. */
static void live(int go, int back)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev;
	char byte = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < CHILD_WAITED; i++)
		epoll_wait(epoll, &ev, 1, 1);
	if (read(go, &byte, 1) != 1)
		_exit(1);
	usleep(BLOCK_US);
	_exit(write(back, &byte, 1) != 1);
}

static int child_start(struct child *ret)
{
	int go[2], back[2];

	if (pipe2(go, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(back, O_CLOEXEC) < 0) {
		int r = -errno;
		close(go[0]);
		close(go[1]);
		return r;
	}
	int pid = fork();
	if (pid == 0) {
		close(go[1]); /* else it would not see our end */
		close(back[0]);
		live(go[0], back[1]);
	}
	int r = pid < 0 ? -errno : 0;
	close(go[0]);
	close(back[1]);
	*ret = (struct child){.pid = pid, .go = go[1], .back = back[0]};
	if (r < 0)
		child_close(ret);
	return r;
}

/* Where the child sleeps, as the iterator shows it. */
static void prove_sleepers(struct proof *p, const struct child *c)
{
	uint64_t end = lsc_now_ns() + LOOKED_NS;
	struct look_view v = {0};
	struct look *look = NULL;
	struct lsc_err err = {0};
	char text[160];
	int r = look_new(&look, &err);

	while (r == 0 && lsc_now_ns() < end) {
		r = look_at(look, c->pid, &v);
		if (r == 0 && !v.on_cpu && v.regs[16])
			break;
	}
	look_free(look);
	snprintf(text, sizeof(text), "saw where a child slept, switched out %llu times",
		 (unsigned long long)v.switches);
	tell(p, SLEEPERS,
	     err.code		       ? err.text
	     : r < 0		       ? strerror(-r)
	     : v.on_cpu || !v.regs[16] ? "a child that sleeps was not shown"
				       : NULL,
	     text);
}

/* Blocks until the child writes. */
static void prove_wakers(struct proof *p, const struct child *c)
{
	int r = probe_arm_waking(p->probe);
	char byte = 0, text[160];

	turn(p, 2);
	p->waker = 0;
	if (write(c->go, &byte, 1) != 1 || read(c->back, &byte, 1) != 1)
		r = r < 0 ? r : -EPIPE;
	turn(p, 2);
	probe_consume(p->probe);
	snprintf(text, sizeof(text), "saw that process %u, a child, ended a wait of %.1f ms",
		 p->waker, (double)p->block_ns / 1e6);
	tell(p, WAKERS,
	     r < 0		       ? strerror(-r)
	     : (int)p->waker == c->pid ? NULL
				       : "who woke this process was not seen",
	     text);
}

/* A child that becomes another program at once. Its pid, or -errno. */
static int exec_child(void)
{
	int pid = fork(), status;

	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (null >= 0) {
			dup2(null, STDOUT_FILENO);
			execl("/proc/self/exe", "loopscoped", "--help", (char *)NULL);
		}
		_exit(127);
	}
	if (pid < 0)
		return -errno;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid;
}

static void prove_lives(struct proof *p, struct child *c)
{
	child_close(c);
	probe_consume(p->probe);
	bool forked = (int)p->forked == c->pid, exited = (int)p->exited == c->pid;
	int pid = exec_child();
	probe_consume(p->probe);
	tell(p, LIVES,
	     pid < 0		     ? strerror(-pid)
	     : !forked		     ? "a child was not seen"
	     : !exited		     ? "the end of a child was not seen"
	     : (int)p->execed != pid ? "the exec of a child was not seen"
				     : NULL,
	     "saw a child begin and end, and another become a program");
}

static void prove_with_child(struct proof *p)
{
	struct child c;
	int r = child_start(&c);

	if (r < 0) {
		tell(p, LIVES, strerror(-r), NULL);
		return;
	}
	prove_sleepers(p, &c);
	prove_wakers(p, &c);
	prove_lives(p, &c);
}

/* ---- who waits ---- */

/* Lets a byte wait in a socket. The precise mode is armed, which sees it read. */
static void prove_victims(struct proof *p)
{
	int pair[2];
	char byte = 0, text[160];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		tell(p, VICTIMS, strerror(errno), NULL);
		return;
	}
	int r = probe_victims_watch(probe_victims(p->probe), p->self, 0, true);
	if (r == 0 && write(pair[0], &byte, 1) == 1 && usleep(BLOCK_US) == 0 &&
	    read(pair[1], &byte, 1) == 1)
		probe_consume(p->probe);
	close(pair[0]);
	close(pair[1]);
	snprintf(text, sizeof(text), "saw a byte wait in a socket for %.1f ms",
		 (double)p->waited_ns / 1e6);
	tell(p, VICTIMS,
	     r == -ENOTSUP	       ? "the tracepoint is missing; Linux 6.3 or newer has it"
	     : r < 0		       ? strerror(-r)
	     : p->waited_ns >= SEEN_NS ? NULL
				       : "what waited in a socket here was not seen",
	     text);
}

void proof_run(proof_fn *fn, void *arg)
{
	struct proof p = {.fn = fn, .arg = arg, .self = getpid()};
	struct probe_options o = {.pids = &p.self,
				  .npids = 1,
				  .grows = true,
				  .follow = true,
				  .stall_ns = STALL_NS,
				  .block_ns = LSC_NS_PER_MS};
	struct lsc_err err = {0};

	if (probe_new(&o, on_event, &p, &p.probe, &err) < 0) {
		fn(arg, SWITCHES, err.code == -EPERM ? "refused" : "missing", err.text);
		return;
	}
	lsc_autoclose int epoll = epoll_create1(EPOLL_CLOEXEC);
	p.epoll = epoll;
	if (epoll < 0) {
		tell(&p, SWITCHES, strerror(errno), NULL);
	} else {
		prove_switches(&p);
		prove_samples(&p);
		prove_returns(&p);
		prove_with_child(&p);
		prove_victims(&p);
	}
	probe_free(p.probe);
}
