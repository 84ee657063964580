/* SPDX-License-Identifier: MIT */
/*
 * What lies behind a descriptor that a thread waits on.
 */
#ifndef LSC_PROBES_FD_H
#define LSC_PROBES_FD_H

#include "event.h"

#define PIPEFS_MAGIC 0x50495045
#define AF_UNIX	     1
#define AF_INET	     2
#define AF_INET6     10

#define UNIX_FAMILY_BYTES 2 /* before the path in a struct sockaddr_un */

/* The name that the other side of a Unix socket listens under, else our own (where we listen), and
 * the process that the kernel noted when the two were connected, as SO_PEERCRED tells it. */
static __noinline int unix_look(struct sock *sk, struct aux *aux)
{
	struct unix_address *name = NULL;

	if (!aux || !bpf_core_type_exists(struct unix_sock))
		return 0;
	struct sock *peer = kernel_field(struct unix_sock, sk, peer);
	if (peer)
		name = kernel_field(struct unix_sock, peer, addr);
	if (!name)
		name = kernel_field(struct unix_sock, sk, addr);
	struct pid *pid = kernel_field(struct sock, sk, sk_peer_pid);
	aux->socket.pid = kernel_field(struct pid, pid, numbers[0].nr);
	__u64 size = (__u32)kernel_field(struct unix_address, name, len);
	if (!name || size <= UNIX_FAMILY_BYTES || size > UNIX_FAMILY_BYTES + UNIX_PATH_BYTES)
		return 0;
	size -= UNIX_FAMILY_BYTES;
	asm volatile("" : "+r"(size));
	if (size > UNIX_PATH_BYTES)
		return 0;
	if (!bpf_probe_read_kernel(aux->socket.path, size, name->name[0].sun_path))
		aux->socket.path_size = size;
	return 0;
}

static __always_inline struct file *fd_file(struct task_struct *p, __s32 fd)
{
	struct files_struct *files = kernel_field(struct task_struct, p, files);
	struct fdtable *open = kernel_field(struct files_struct, files, fdt);
	struct file **table = kernel_field(struct fdtable, open, fd), *f = NULL;
	__u32 max = kernel_field(struct fdtable, open, max_fds);

	if (fd < 0 || (__u32)fd >= max)
		return NULL;
	bpf_probe_read_kernel(&f, sizeof(f), table + fd);
	return f;
}

static __always_inline int fd_look(struct task_struct *p, __s32 fd, __u64 *ino, struct aux *aux)
{
	struct file *f = fd_file(p, fd);

	if (!f)
		return FD_UNKNOWN;
	struct inode *i = kernel_field(struct file, f, f_inode);
	__u32 mode = kernel_field(struct inode, i, i_mode) & 0170000;
	*ino = kernel_field(struct inode, i, i_ino);
	switch (mode) {
	case 0100000:
	case 0060000:
		return FD_REGULAR;
	case 0010000:
		return BPF_CORE_READ(i, i_sb, s_magic) == PIPEFS_MAGIC ? FD_PIPE : FD_FIFO;
	case 0020000:
		return FD_CHAR;
	case 0040000:
		return FD_DIR;
	case 0140000:
		break;
	default:
		return FD_ANON;
	}
	struct socket *so = kernel_field(struct file, f, private_data);
	struct sock *sk = kernel_field(struct socket, so, sk);
	__u16 family = kernel_field(struct sock, sk, __sk_common.skc_family);
	if (aux && aux->type == AUX_NONE) {
		aux->type = AUX_SOCKET;
		aux->socket.family = family;
		aux->socket.fd = fd;
		aux->socket.path_size = 0;
		aux->socket.pid = 0;
		aux->socket.protocol = kernel_field(struct sock, sk, sk_protocol);
		aux->socket.port_be = kernel_field(struct sock, sk, __sk_common.skc_dport);
		if (family == AF_INET6)
			BPF_CORE_READ_INTO(&aux->socket.address, sk,
					   __sk_common.skc_v6_daddr.in6_u.u6_addr8);
		else if (family == AF_INET)
			BPF_CORE_READ_INTO((__be32 *)aux->socket.address, sk,
					   __sk_common.skc_daddr);
		else if (family == AF_UNIX)
			unix_look(sk, aux);
	}
	return family == AF_UNIX ? FD_UNIX : FD_INET;
}

#endif
