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
	{SYS_open, {"-O", {NULL, "flags"}}},
	{SYS_openat, {"--O", {NULL, NULL, "flags"}}},
	{SYS_close, {"d", {"fd"}}},
	{SYS_fcntl, {"dC", {"fd", "cmd"}}},
	{SYS_flock, {"dL", {"fd", "operation"}}},
	{SYS_sendfile, {"dd-n", {"out_fd", "in_fd", NULL, "count"}}},
	{SYS_socket, {"DTi", {"domain", "type", "protocol"}}},
	{SYS_shutdown, {"dH", {"fd", "how"}}},
	{SYS_connect, {"d", {"fd"}}},
	{SYS_accept, {"d", {"fd"}}},
	{SYS_accept4, {"d", {"fd"}}},
	{SYS_recvfrom, {"d-nM", {"fd", NULL, "len", "flags"}}},
	{SYS_sendto, {"d-nM", {"fd", NULL, "len", "flags"}}},
	{SYS_recvmsg, {"d-M", {"fd", NULL, "flags"}}},
	{SYS_sendmsg, {"d-M", {"fd", NULL, "flags"}}},
	{SYS_recvmmsg, {"d-uM", {"fd", NULL, "vlen", "flags"}}},
	{SYS_sendmmsg, {"d-uM", {"fd", NULL, "vlen", "flags"}}},
	{SYS_poll, {"-ut", {NULL, "nfds", "timeout_ms"}}},
	{SYS_ppoll, {"-u", {NULL, "nfds"}}},
	{SYS_select, {"i", {"nfds"}}},
	{SYS_pselect6, {"i", {"nfds"}}},
	{SYS_epoll_wait, {"d-ut", {"epfd", NULL, "maxevents", "timeout_ms"}}},
	{SYS_epoll_pwait, {"d-ut", {"epfd", NULL, "maxevents", "timeout_ms"}}},
	{SYS_epoll_pwait2, {"d-u", {"epfd", NULL, "maxevents"}}},
	{SYS_epoll_ctl, {"dEd", {"epfd", "op", "fd"}}},
	{SYS_io_uring_enter, {"duuU", {"fd", "to_submit", "min_complete", "flags"}}},
	{SYS_futex, {"xF", {"uaddr", "op"}}},
	{SYS_futex_waitv, {"-u", {NULL, "nr_futexes"}}},
	{SYS_wait4, {"p-W", {"pid", NULL, "options"}}},
	{SYS_waitid, {"Ip-W", {"idtype", "id", NULL, "options"}}},
	{SYS_msync, {"xnS", {"addr", "length", "flags"}}},
	{SYS_madvise, {"xnA", {"addr", "length", "advice"}}},
	{SYS_mmap, {"-nPN", {NULL, "length", "prot", "flags"}}},
	{SYS_munmap, {"xn", {"addr", "length"}}},
	{SYS_mprotect, {"xnP", {"addr", "length", "prot"}}},
	{SYS_ioctl, {"dR", {"fd", "request"}}},
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
