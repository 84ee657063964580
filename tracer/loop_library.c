/* SPDX-License-Identifier: MIT */
/*
 * A library in a file of its own is known by that file. What is compiled into the program is known
 * by the names of its functions, and where these were inlined by their source files.
 */
#include "loop_library.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"

struct naming {
	const char *prefix, *library;
};

static const char *begins(const char *text, const struct naming *names, size_t n)
{
	for (size_t i = 0; text && i < n; i++)
		if (!strncmp(text, names[i].prefix, strlen(names[i].prefix)))
			return names[i].library;
	return NULL;
}

static const char *lies_in(const char *file, const struct naming *folders, size_t n)
{
	for (size_t i = 0; file && i < n; i++)
		if (strstr(file, folders[i].prefix))
			return folders[i].library;
	return NULL;
}

/* "libuv" is libuv.so.1 and not libuvc.so. */
static const char *library_of(const char *module, const struct naming *names, size_t n)
{
	const char *base = module ? basename(module) : "";

	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(names[i].prefix);
		if (!strncmp(base, names[i].prefix, len) && base[len] && strchr(".-", base[len]))
			return names[i].library;
	}
	return NULL;
}

static const char *by_function(const char *function)
{
	static const struct naming functions[] = {
		{"uv__", "libuv"},
		{"event_process_active", "libevent"},
		{"event_persist_closure", "libevent"},
		{"ev_invoke_pending", "libev"},
		{"g_main_", "GLib"},
		{"ngx_event_process_posted", "nginx"},
		{"ngx_event_expire_timers", "nginx timers"},
		{"boost::asio::", "Asio"},
		{"asio::detail::", "Asio"},
		{"QtPrivate::", "Qt"},
		{"tokio::", "Tokio"},
		{"<tokio::", "Tokio"},
	};

	return function ? begins(lsc_bare_name(function), functions, LSC_ARRAY_LEN(functions))
			: NULL;
}

const char *loop_library(const struct inspector_frame *f)
{
	static const struct naming modules[] = {
		{"libuv", "libuv"},	    {"libevent", "libevent"}, {"libevent_core", "libevent"},
		{"libev", "libev"},	    {"libglib-2", "GLib"},    {"libgio-2", "GLib"},
		{"libsystemd", "sd-event"}, {"libtevent", "tevent"},
	};
	static const struct naming sets[] = {{"libQt5", "Qt"}, {"libQt6", "Qt"}};
	static const struct naming folders[] = {
		{"/boost/asio/", "Asio"}, {"/include/asio/", "Asio"}, {"/QtCore/", "Qt"},
		{"/tokio-0.", "Tokio"},	  {"/tokio-1.", "Tokio"},
	};
	const char *library = library_of(f->module, modules, LSC_ARRAY_LEN(modules));

	if (!library && f->module)
		library = begins(basename(f->module), sets, LSC_ARRAY_LEN(sets));
	if (!library)
		library = by_function(f->function);
	return library ? library : lies_in(f->file, folders, LSC_ARRAY_LEN(folders));
}

const char *loop_library_part(const struct inspector_frame *f)
{
	static const struct naming parts[] = {{"uv_timer_", "libuv timers"},
					      {"uv__run_timers", "libuv timers"},
					      {"g_timeout_", "GLib timeouts"}};
	const char *part = begins(f->function ? f->function : f->near, parts, LSC_ARRAY_LEN(parts));

	return part ? part : loop_library(f);
}

bool loop_library_is_glue(const struct inspector_frame *f)
{
	static const struct naming functions[] = {
		{"std::", "C++ or Rust"}, {"__gnu_cxx::", "C++"}, {"core::", "Rust"},
		{"alloc::", "Rust"},	  {"<core::", "Rust"},	  {"<alloc::", "Rust"},
		{"<std::", "Rust"},
	};
	static const struct naming folders[] = {{"/include/c++/", "C++"},
						{"/rustc/", "Rust"},
						{"library/core/src/", "Rust"},
						{"library/alloc/src/", "Rust"},
						{"library/std/src/", "Rust"}};

	if (lies_in(f->file, folders, LSC_ARRAY_LEN(folders)))
		return true;
	return f->function &&
	       (strstr(f->function, "::qt_static_metacall(") ||
		begins(lsc_bare_name(f->function), functions, LSC_ARRAY_LEN(functions)));
}

bool loop_library_is_c(const struct inspector_frame *f)
{
	static const struct naming modules[] = {{"libc", "C"},
						{"libpthread", "C"},
						{"libm", "C"},
						{"ld", "C"},
						{"ld-linux-x86-64", "C"}};

	return (f->module && f->module[0] == '[') ||
	       library_of(f->module, modules, LSC_ARRAY_LEN(modules));
}
