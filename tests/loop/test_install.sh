#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# An outside project, built against the installed library by pkg-config and by CMake, shared and static:
# test_install.sh SOURCES BUILD
set -euo pipefail
sources=$1 build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The library alone can be had where nothing but a compiler is: no pkg-config finds anything here.
PKG_CONFIG_LIBDIR=/nonexistent cmake -S "$sources" -B "$work/alone" -DLSC_LIBRARY_ONLY=ON >"$work/alone.log"
cmake -DCMAKE_INSTALL_PREFIX="$work/prefix" -P "$build/loop/cmake_install.cmake" >"$work/install.log"
program=$sources/examples/tutorial/6_network.c
PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name loopscope.pc)")
libdir=$(dirname "$PKG_CONFIG_PATH")
export PKG_CONFIG_PATH

# check PROGRAM
check() {
	grep -qx 'one cake, coming up' <<<"$(LD_LIBRARY_PATH=$libdir "$1")" || { echo "$1 does not work" && exit 1; }
}

read -ra cflags <<<"$(pkg-config --cflags loopscope)"
read -ra libs <<<"$(pkg-config --libs loopscope)"
cc "${cflags[@]}" "$program" -o "$work/shared" "${libs[@]}"
cc "${cflags[@]}" "$program" -o "$work/static" "$libdir/libloopscope.a" -pthread
[[ $(ldd "$work/shared") == *libloopscope.so.0* ]] || { echo "no SONAME" && exit 1; }
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

# The headers are for C++, too, each of them by itself.
if command -v c++ >"$work/c++"; then
	for header in "$work"/prefix/include/loopscope/*.h; do
		[[ $header == */tls.h ]] && continue # below
		echo "#include <loopscope/${header##*/}>" >"$work/header.cc"
		c++ "${cflags[@]}" -std=c++17 -Wall -Wextra -Werror -c "$work/header.cc" -o "$work/header.o"
	done
	cat >"$work/outside.cc" <<-EOF
		#include <loopscope/loopscope.h>
		#include <cstdio>
		static int order(void *arg)
		{
			auto *line = static_cast<const char **>(arg);
			int r = lsc_sleep(1000000);
			*line = "one cake, coming up";
			return r;
		}
		int main()
		{
			const char *line = "nothing";
			int r = lsc_run([](void *arg) {
				lsc_future *f = lsc_spawn(order, arg, "order");
				lsc_timeout timeout;
				lsc_timeout_begin(&timeout, 1000000000);
				int result = lsc_timeout_end(&timeout, lsc_await(f));
				lsc_unref(f);
				return result;
			}, &line);
			std::puts(line);
			return r < 0;
		}
	EOF
	c++ "${cflags[@]}" -Wall -Wextra -Werror "$work/outside.cc" -o "$work/shared" "${libs[@]}"
	check "$work/shared"
	sed -i "s/outside C)/outside CXX)/; s|(\(\w*\) $program)|(\1 $work/outside.cc)|" "$work/project/CMakeLists.txt"
	cmake -S "$work/project" -B "$work/out-c++" -DCMAKE_PREFIX_PATH="$work/prefix" >"$work/cmake.log"
	cmake --build "$work/out-c++" >"$work/build.log"
	check "$work/out-c++/shared"
	check "$work/out-c++/static"
	sed -i "s/outside CXX)/outside C)/; s|(\(\w*\) $work/outside.cc)|(\1 $program)|" "$work/project/CMakeLists.txt"
else
	echo "skipped: C++, for which there is no compiler"
fi

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
