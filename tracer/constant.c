/* SPDX-License-Identifier: MIT */
/*
 * Tables of names, from the headers of the C library and the kernel. A kind is either one value of
 * a list, or flags, of which the low bits may be such a value (the access mode of open). Values of
 * a few bits come before the bits that they contain.
 */
#include "constant.h"

#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/cleanup.h"

#define C(name)                                                                                    \
	{                                                                                          \
		(uint32_t)(name), #name                                                            \
	}

struct constant {
	uint32_t value;
	const char *name;
};

static const struct constant advice[] = {
	C(MADV_NORMAL),	       C(MADV_RANDOM),	       C(MADV_SEQUENTIAL), C(MADV_WILLNEED),
	C(MADV_DONTNEED),      C(MADV_FREE),	       C(MADV_REMOVE),	   C(MADV_DONTFORK),
	C(MADV_DOFORK),	       C(MADV_HWPOISON),       C(MADV_MERGEABLE),  C(MADV_UNMERGEABLE),
	C(MADV_HUGEPAGE),      C(MADV_NOHUGEPAGE),     C(MADV_DONTDUMP),   C(MADV_DODUMP),
	C(MADV_WIPEONFORK),    C(MADV_KEEPONFORK),     C(MADV_COLD),	   C(MADV_PAGEOUT),
	C(MADV_POPULATE_READ), C(MADV_POPULATE_WRITE),
};

static const struct constant commands[] = {
	C(F_DUPFD),	 C(F_DUPFD_CLOEXEC), C(F_GETFD),     C(F_SETFD),       C(F_GETFL),
	C(F_SETFL),	 C(F_GETLK),	     C(F_SETLK),     C(F_SETLKW),      C(F_OFD_GETLK),
	C(F_OFD_SETLK),	 C(F_OFD_SETLKW),    C(F_SETOWN),    C(F_GETOWN),      C(F_SETSIG),
	C(F_GETSIG),	 C(F_SETLEASE),	     C(F_GETLEASE),  C(F_NOTIFY),      C(F_SETPIPE_SZ),
	C(F_GETPIPE_SZ), C(F_ADD_SEALS),     C(F_GET_SEALS), C(F_GET_RW_HINT), C(F_SET_RW_HINT),
};

static const struct constant domains[] = {
	C(AF_UNIX),	 C(AF_INET), C(AF_INET6), C(AF_NETLINK), C(AF_PACKET), C(AF_ALG),
	C(AF_BLUETOOTH), C(AF_CAN),  C(AF_VSOCK), C(AF_XDP),	 C(AF_KEY),    C(AF_TIPC),
};

static const struct constant epoll_operations[] = {C(EPOLL_CTL_ADD), C(EPOLL_CTL_DEL),
						   C(EPOLL_CTL_MOD)};

static const struct constant futex_operations[] = {
	C(FUTEX_WAIT),		 C(FUTEX_WAKE),	       C(FUTEX_FD),
	C(FUTEX_REQUEUE),	 C(FUTEX_CMP_REQUEUE), C(FUTEX_WAKE_OP),
	C(FUTEX_LOCK_PI),	 C(FUTEX_UNLOCK_PI),   C(FUTEX_TRYLOCK_PI),
	C(FUTEX_WAIT_BITSET),	 C(FUTEX_WAKE_BITSET), C(FUTEX_WAIT_REQUEUE_PI),
	C(FUTEX_CMP_REQUEUE_PI), C(FUTEX_LOCK_PI2),
};

static const struct constant closings[] = {C(SHUT_RD), C(SHUT_WR), C(SHUT_RDWR)};

static const struct constant ids[] = {C(P_ALL), C(P_PID), C(P_PGID), C(P_PIDFD)};

static const struct constant locks[] = {C(LOCK_SH), C(LOCK_EX), C(LOCK_UN), C(LOCK_NB)};

static const struct constant messages[] = {
	C(MSG_OOB),	   C(MSG_PEEK),	    C(MSG_DONTROUTE), C(MSG_CTRUNC),
	C(MSG_TRUNC),	   C(MSG_DONTWAIT), C(MSG_EOR),	      C(MSG_WAITALL),
	C(MSG_CONFIRM),	   C(MSG_ERRQUEUE), C(MSG_NOSIGNAL),  C(MSG_MORE),
	C(MSG_WAITFORONE), C(MSG_ZEROCOPY), C(MSG_FASTOPEN),  C(MSG_CMSG_CLOEXEC),
};

static const struct constant mappings[] = {
	C(MAP_SHARED_VALIDATE), C(MAP_SHARED),	  C(MAP_PRIVATE),   C(MAP_FIXED_NOREPLACE),
	C(MAP_FIXED),		C(MAP_ANONYMOUS), C(MAP_GROWSDOWN), C(MAP_LOCKED),
	C(MAP_NORESERVE),	C(MAP_POPULATE),  C(MAP_NONBLOCK),  C(MAP_STACK),
	C(MAP_HUGETLB),		C(MAP_SYNC),
};

static const struct constant openings[] = {
	C(O_RDONLY),	C(O_WRONLY),
	C(O_RDWR),	C(O_CREAT),
	C(O_EXCL),	C(O_NOCTTY),
	C(O_TRUNC),	C(O_APPEND),
	C(O_NONBLOCK),	C(O_TMPFILE),
	C(O_SYNC),	C(O_DSYNC),
	C(O_DIRECT),	{0100000, "O_LARGEFILE"},
	C(O_DIRECTORY), C(O_NOFOLLOW),
	C(O_NOATIME),	C(O_CLOEXEC),
	C(O_PATH),
};

static const struct constant protections[] = {C(PROT_NONE), C(PROT_READ), C(PROT_WRITE),
					      C(PROT_EXEC)};

static const struct constant requests[] = {
	C(FIONREAD),	  C(FIONBIO),	      C(FIOASYNC),	  C(FIOCLEX),	    C(FIONCLEX),
	C(FIBMAP),	  C(FIFREEZE),	      C(FITHAW),	  C(FITRIM),	    C(FICLONE),
	C(FICLONERANGE),  C(FIDEDUPERANGE),   C(BLKFLSBUF),	  C(BLKDISCARD),    C(BLKZEROOUT),
	C(BLKSECDISCARD), C(BLKRRPART),	      C(BLKGETSIZE64),	  C(TCGETS),	    C(TCSETS),
	C(TCSETSW),	  C(TCSETSF),	      C(TCSBRK),	  C(TCSBRKP),	    C(TCXONC),
	C(TCFLSH),	  C(TIOCGWINSZ),      C(TIOCSWINSZ),	  C(TIOCGPGRP),	    C(TIOCSPGRP),
	C(TIOCMGET),	  C(TIOCMSET),	      C(TIOCMIWAIT),	  C(TIOCSCTTY),	    C(TIOCNOTTY),
	C(TIOCOUTQ),	  C(FS_IOC_GETFLAGS), C(FS_IOC_SETFLAGS), C(FS_IOC_FIEMAP),
};

static const struct constant syncs[] = {C(MS_ASYNC), C(MS_INVALIDATE), C(MS_SYNC)};

static const struct constant types[] = {
	C(SOCK_STREAM),	   C(SOCK_DGRAM),    C(SOCK_RAW),     C(SOCK_RDM),
	C(SOCK_SEQPACKET), C(SOCK_NONBLOCK), C(SOCK_CLOEXEC),
};

/* By number: linux/io_uring.h may be older than the kernel that is watched, or absent. */
static const struct constant urings[] = {
	{1u << 0, "IORING_ENTER_GETEVENTS"},	   {1u << 1, "IORING_ENTER_SQ_WAKEUP"},
	{1u << 2, "IORING_ENTER_SQ_WAIT"},	   {1u << 3, "IORING_ENTER_EXT_ARG"},
	{1u << 4, "IORING_ENTER_REGISTERED_RING"},
};

static const struct constant waitings[] = {
	C(WNOHANG), C(WUNTRACED),   C(WEXITED), C(WCONTINUED),
	C(WNOWAIT), C(__WNOTHREAD), C(__WALL),	C(__WCLONE),
};

#define VALUES	    .mask = UINT32_MAX
#define LIST(array) .list = array, .n = LSC_ARRAY_LEN(array)

/* mask: the bits that hold one value of the list; the others are flags. */
static const struct kind {
	enum constant_kind kind;
	const struct constant *list;
	size_t n;
	uint32_t mask;
} kinds[] = {
	{CONSTANT_ADVICE, LIST(advice), VALUES},
	{CONSTANT_COMMAND, LIST(commands), VALUES},
	{CONSTANT_DOMAIN, LIST(domains), VALUES},
	{CONSTANT_EPOLL, LIST(epoll_operations), VALUES},
	{CONSTANT_CLOSING, LIST(closings), VALUES},
	{CONSTANT_ID, LIST(ids), VALUES},
	{CONSTANT_LOCK, LIST(locks)},
	{CONSTANT_MESSAGE, LIST(messages)},
	{CONSTANT_MAPPING, LIST(mappings)},
	{CONSTANT_OPENING, LIST(openings), .mask = O_ACCMODE},
	{CONSTANT_PROTECTION, LIST(protections)},
	{CONSTANT_REQUEST, LIST(requests), VALUES},
	{CONSTANT_SYNC, LIST(syncs)},
	{CONSTANT_TYPE, LIST(types), .mask = 15},
	{CONSTANT_URING, LIST(urings)},
	{CONSTANT_WAITING, LIST(waitings)},
};

static const char *name_of(const struct constant *list, size_t n, uint32_t value)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].value == value)
			return list[i].name;
	return NULL;
}

/* More of the text; what does not fit is cut. */
static void add(char *buf, size_t size, const char *more)
{
	size_t n = strlen(buf);

	snprintf(buf + n, size - n, "%s", more);
}

/* As a part of flags. */
static void add_flag(char *buf, size_t size, const char *name)
{
	if (buf[0])
		add(buf, size, "|");
	add(buf, size, name);
}

static void add_rest(char *buf, size_t size, uint32_t v)
{
	char hex[16];

	snprintf(hex, sizeof(hex), v ? "0x%x" : "%u", v);
	add_flag(buf, size, hex);
}

/* An operation with its two flags, the first of which is part of the name. */
static void put_futex(uint32_t v, char *buf, size_t size)
{
	const char *name = name_of(futex_operations, LSC_ARRAY_LEN(futex_operations),
				   v & (uint32_t)FUTEX_CMD_MASK);

	if (!name) {
		add_rest(buf, size, v);
		return;
	}
	add(buf, size, name);
	if (v & FUTEX_PRIVATE_FLAG)
		add(buf, size, "_PRIVATE");
	if (v & FUTEX_CLOCK_REALTIME)
		add_flag(buf, size, "FUTEX_CLOCK_REALTIME");
}

/* A name for the bits in the mask, then one for each flag, then what is left. */
static void put(const struct kind *k, uint32_t v, char *buf, size_t size)
{
	const char *name = k->mask || !v ? name_of(k->list, k->n, v & k->mask) : NULL;

	if (name) {
		add(buf, size, name);
		v &= ~k->mask;
	}
	for (size_t i = 0; i < k->n; i++) {
		uint32_t flag = k->list[i].value;

		if (!flag || flag & k->mask || (v & flag) != flag)
			continue;
		add_flag(buf, size, k->list[i].name);
		v &= ~flag;
	}
	if (v || !buf[0])
		add_rest(buf, size, v);
}

const char *constant_text(enum constant_kind kind, uint64_t v, char *buf, size_t size)
{
	static const struct kind none = {0};
	const struct kind *k = &none;

	buf[0] = '\0';
	for (size_t i = 0; i < LSC_ARRAY_LEN(kinds); i++)
		if (kinds[i].kind == kind)
			k = &kinds[i];
	if (kind == CONSTANT_FUTEX)
		put_futex((uint32_t)v, buf, size);
	else
		put(k, (uint32_t)v, buf, size);
	return buf;
}
