# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What scripts/demo and scripts/test share: installing the packages that packages.txt names, building
# a preset, and finding out whether BPF can be used here. Sourced, never run.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
PATH=$PATH:/usr/sbin:/sbin # bpftool and ldconfig live there; a plain user's PATH may lack it
export LC_ALL=C.UTF-8

say() { printf '%s\n' "== $*"; }
die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# packages_of SECTION...: the names that packages.txt lists there.
packages_of() {
	awk -v want=" $* " '
		/^\[/ { on = index(want, " " substr($1, 2, length($1) - 2) " ") > 0; next }
		on && $1 ~ /^[a-z0-9]/ { print $1 }' packages.txt
}

# missing_packages SECTION...: those of them that are not installed, in whatever version.
missing_packages() {
	local name
	for name in $(packages_of "$@"); do
		[[ $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) == installed ]] || echo "$name"
	done
}

# apt_install PACKAGE...: as root. The packages' services are not started: a policy-rc.d says no
# while this runs, unless the machine has one of its own.
apt_install() (
	policy=/usr/sbin/policy-rc.d
	if [[ ! -e $policy ]]; then
		trap '"${AS_ROOT[@]}" rm -f "$policy"' EXIT
		printf '#!/bin/sh\nexit 101\n' | "${AS_ROOT[@]}" tee "$policy" >/dev/null
		"${AS_ROOT[@]}" chmod 755 "$policy"
	fi
	apt=("${AS_ROOT[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=3)
	"${apt[@]}" update </dev/null && "${apt[@]}" install -y --no-install-recommends "$@" </dev/null
)

# need_packages SECTION...: installs what is missing, or says what to install.
need_packages() {
	local missing
	command -v dpkg-query >/dev/null || die "needs Debian 12 (dpkg-query not found)"
	mapfile -t missing < <(missing_packages "$@")
	[[ ${#missing[@]} -eq 0 ]] && return
	AS_ROOT=()
	if [[ $EUID -ne 0 ]]; then
		sudo -n true 2>/dev/null || die "missing packages, and not root to install them: ${missing[*]}"
		AS_ROOT=(sudo -n)
	fi
	say "installing ${missing[*]}"
	apt_install "${missing[@]}" || die "could not install: ${missing[*]}"
}

# build_preset PRESET: configures and builds it into build/PRESET.
build_preset() {
	say "building preset $1"
	cmake --preset "$1" >build/"$1".configure.log 2>&1 || {
		cat build/"$1".configure.log
		return 1
	}
	cmake --build --preset "$1" </dev/null
}

# bpf_refusal: prints why BPF cannot be used here; nothing when it can.
bpf_refusal() {
	local said
	if [[ ! -r /sys/kernel/btf/vmlinux ]]; then
		echo "the kernel has no BTF (/sys/kernel/btf/vmlinux)"
	elif [[ $EUID -ne 0 ]]; then
		echo "not root"
	elif ! said=$(bpftool prog show 2>&1 >/dev/null); then
		echo "the kernel refuses bpf(): ${said%%$'\n'*}"
	fi
}
