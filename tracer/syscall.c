/* SPDX-License-Identifier: MIT */
/* The table of names is generated from the C library's headers; the arguments of the calls that
 * block are listed here. */
#include "syscall.h"

#include <stddef.h>
#include <sys/syscall.h>

#include "base/cleanup.h"

static const char *const call_names[] = {
#include "syscall_names.inc"
};

static const struct {
	int nr;
	struct syscall_args args;
} table[] = {
	{SYS_read, {"d-n", {"fd", NULL, "count"}}},
	{SYS_write, {"d-n", {"fd", NULL, "count"}}},
	{SYS_pread64, {"d-nu", {"fd", NULL, "count", "offset"}}},
	{SYS_pwrite64, {"d-nu", {"fd", NULL, "count", "offset"}}},
	{SYS_readv, {"d-u", {"fd", NULL, "iovcnt"}}},
	{SYS_writev, {"d-u", {"fd", NULL, "iovcnt"}}},
	{SYS_fsync, {"d", {"fd"}}},
	{SYS_fdatasync, {"d", {"fd"}}},
	{SYS_sync_file_range, {"d", {"fd"}}},
	{SYS_fallocate, {"d", {"fd"}}},
	{SYS_ftruncate, {"du", {"fd", "length"}}},
	{SYS_getdents64, {"d-n", {"fd", NULL, "count"}}},
	{SYS_fstat, {"d", {"fd"}}},
	{SYS_fcntl, {"di", {"fd", "cmd"}}},
	{SYS_flock, {"di", {"fd", "operation"}}},
	{SYS_sendfile, {"dd-n", {"out_fd", "in_fd", NULL, "count"}}},
	{SYS_connect, {"d", {"fd"}}},
	{SYS_accept, {"d", {"fd"}}},
	{SYS_accept4, {"d", {"fd"}}},
	{SYS_recvfrom, {"d-nx", {"fd", NULL, "len", "flags"}}},
	{SYS_sendto, {"d-nx", {"fd", NULL, "len", "flags"}}},
	{SYS_recvmsg, {"d-x", {"fd", NULL, "flags"}}},
	{SYS_sendmsg, {"d-x", {"fd", NULL, "flags"}}},
	{SYS_recvmmsg, {"d-ux", {"fd", NULL, "vlen", "flags"}}},
	{SYS_sendmmsg, {"d-ux", {"fd", NULL, "vlen", "flags"}}},
	{SYS_poll, {"-ut", {NULL, "nfds", "timeout_ms"}}},
	{SYS_ppoll, {"-u", {NULL, "nfds"}}},
	{SYS_select, {"i", {"nfds"}}},
	{SYS_pselect6, {"i", {"nfds"}}},
	{SYS_epoll_wait, {"d-ut", {"epfd", NULL, "maxevents", "timeout_ms"}}},
	{SYS_epoll_pwait, {"d-ut", {"epfd", NULL, "maxevents", "timeout_ms"}}},
	{SYS_epoll_pwait2, {"d-u", {"epfd", NULL, "maxevents"}}},
	{SYS_io_uring_enter, {"duu", {"fd", "to_submit", "min_complete"}}},
	{SYS_futex, {"xi", {"uaddr", "op"}}},
	{SYS_wait4, {"p-x", {"pid", NULL, "options"}}},
	{SYS_waitid, {"ip-x", {"idtype", "id", NULL, "options"}}},
	{SYS_msync, {"xnx", {"addr", "length", "flags"}}},
	{SYS_ioctl, {"dx", {"fd", "request"}}},
};

const char *syscall_name(int nr)
{
	return nr >= 0 && (size_t)nr < LSC_ARRAY_LEN(call_names) ? call_names[nr] : NULL;
}

const struct syscall_args *syscall_args(int nr)
{
	static const struct syscall_args none = {"", {NULL}};

	for (size_t i = 0; i < LSC_ARRAY_LEN(table); i++)
		if (table[i].nr == nr)
			return &table[i].args;
	return &none;
}
