#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# An outside project, built against the installed library by pkg-config and by CMake, shared and static:
# test_install.sh SOURCES BUILD
set -euo pipefail
sources=$1 build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake -DCMAKE_INSTALL_PREFIX="$work/prefix" -P "$build/loop/cmake_install.cmake" >"$work/install.log"
program=$sources/examples/tutorial/6_network.c
PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name loopscope.pc)")
libdir=$(dirname "$PKG_CONFIG_PATH")
export PKG_CONFIG_PATH

# check PROGRAM
check() {
	LD_LIBRARY_PATH=$libdir "$1" | grep -qx 'one cake, coming up' || { echo "$1 does not work" && exit 1; }
}

read -ra cflags <<<"$(pkg-config --cflags loopscope)"
read -ra libs <<<"$(pkg-config --libs loopscope)"
cc "${cflags[@]}" "$program" -o "$work/shared" "${libs[@]}"
cc "${cflags[@]}" "$program" -o "$work/static" "$libdir/libloopscope.a" -pthread
ldd "$work/shared" | grep -q 'libloopscope\.so\.0' || { echo "no SONAME" && exit 1; }
check "$work/shared"
check "$work/static"

mkdir "$work/project"
cat >"$work/project/CMakeLists.txt" <<-EOF
	cmake_minimum_required(VERSION 3.25)
	project(outside C)
	find_package(loopscope 0.1 REQUIRED)
	add_executable(shared $program)
	target_link_libraries(shared PRIVATE loopscope::loopscope)
	add_executable(static $program)
	target_link_libraries(static PRIVATE loopscope::loopscope_static)
EOF
cmake -S "$work/project" -B "$work/out" -DCMAKE_PREFIX_PATH="$work/prefix" >"$work/cmake.log"
cmake --build "$work/out" >"$work/build.log"
check "$work/out/shared"
check "$work/out/static"

# public_only LIBRARY: nothing but the public names gets out.
public_only() {
	if nm -D --defined-only "$1" | awk '{print $3}' | grep -vE '^(lsc_|LOOPSCOPE_)'; then
		echo "names that are not public are exported by $1"
		exit 1
	fi
}
public_only "$libdir/libloopscope.so"
if ldd "$libdir/libloopscope.so" | grep -E 'ssl|crypto'; then
	echo "the library needs more than libc" && exit 1
fi

# The part for TLS, in the same ways, where it was built.
if [[ ! -e $libdir/libloopscope-tls.so ]]; then
	echo "built without TLS"
	exit 0
fi
public_only "$libdir/libloopscope-tls.so"
program=$work/tls.c
cat >"$program" <<-EOF
	#include <loopscope/tls.h>
	#include <stdio.h>
	int main(void)
	{
		struct lsc_tls_context *context;
		if (lsc_tls_context_new(LSC_TLS_CLIENT, NULL, &context) < 0)
			return puts(lsc_tls_error());
		lsc_tls_context_unref(context);
		return puts("one cake, coming up") < 0;
	}
EOF
read -ra cflags <<<"$(pkg-config --cflags loopscope-tls)"
read -ra libs <<<"$(pkg-config --libs loopscope-tls)"
read -ra openssl <<<"$(pkg-config --libs openssl)"
cc "${cflags[@]}" "$program" -o "$work/shared" "${libs[@]}"
cc "${cflags[@]}" "$program" -o "$work/static" "$libdir/libloopscope-tls.a" "$libdir/libloopscope.a" "${openssl[@]}" -pthread
check "$work/shared"
check "$work/static"
sed -i "s/0.1 REQUIRED/& COMPONENTS tls/; s/loopscope::loopscope/&_tls/; s|(\(\w*\) [^ ]*6_network.c|(\1 $program|" "$work/project/CMakeLists.txt"
cmake -S "$work/project" -B "$work/out" >"$work/cmake.log"
cmake --build "$work/out" >"$work/build.log"
check "$work/out/shared"
check "$work/out/static"
