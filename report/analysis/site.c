/* SPDX-License-Identifier: MIT */
/*
 * Which frame of a stack is the application's own: the place that its author can change. Libraries
 * of the system, interpreters and event-loop libraries are passed over, unless nothing else is
 * there.
 */
#include "analysis/internal.h"

#include <ctype.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"

/* "libc" matches libc.so.6 and libc-2.31.so, not libcurl.so.4. */
static bool is_library(const char *base, const char *name)
{
	size_t n = strlen(name);

	return !strncmp(base, name, n) && (base[n] == '.' || base[n] == '-' || base[n] == '\0');
}

static bool is_runtime_module(const char *module)
{
	static const char *const libraries[] = {
		"libc",
		"libpthread",
		"librt",
		"libm",
		"ld-linux-x86-64",
		"ld-linux-aarch64",
		"ld-musl-x86_64",
		"ld",
		"libdl",
		"libstdc++",
		"libgcc_s",
		"libuv",
		"libnode",
		"libv8",
		"libevent",
		"libevent_core",
		"libev",
		"libglib",
		"libgio",
		"libsystemd",
		"liburing",
		"libloopscope",
		"node",
		"nodejs",
		"linux-vdso",
	};
	const char *base = basename(module);

	if (base[0] == '[') /* [vdso], [vsyscall] */
		return true;
	for (size_t i = 0; i < LSC_ARRAY_LEN(libraries); i++)
		if (is_library(base, libraries[i]))
			return true;
	if (!strncmp(base, "libpython", 9))
		return true;
	return !strncmp(base, "python", 6) && (isdigit((unsigned char)base[6]) || !base[6]);
}

/* The standard library: /usr/lib/python3.11/asyncio/..., not site-packages below it. */
static bool is_python_library(const char *file)
{
	static const char *const folders[] = {"/lib/python", "/lib64/python"};

	if (!strncmp(file, "<frozen ", 8))
		return true; /* but <string> and <stdin> are the user's */
	for (size_t i = 0; i < LSC_ARRAY_LEN(folders); i++) {
		const char *lib = strstr(file, folders[i]);
		if (lib && isdigit((unsigned char)lib[strlen(folders[i])]))
			return !strstr(lib, "-packages/");
	}
	return false;
}

/* Headers of the C and the C++ library, from where functions are inlined, and Rust's own source. */
static bool is_c_library(const char *file)
{
	return strstr(file, "/include/c++/") || !strncmp(file, "/usr/lib/gcc", 12) ||
	       (!strncmp(file, "/usr/include/", 13) && strstr(file, "/bits/")) ||
	       !strncmp(file, "/rustc/", 7) || !strncmp(file, "library/std/src/", 16) ||
	       !strncmp(file, "library/core/src/", 17) || !strncmp(file, "library/alloc/src/", 18);
}

/* A function of the C++ library that was made for the program, and lies in its file. */
static bool is_template(const char *function)
{
	const char *name = lsc_bare_name(function);

	return !strncmp(name, "std::", 5) || !strncmp(name, "__gnu_cxx::", 11);
}

static bool is_js_library(const char *file)
{
	return !strncmp(file, "node:", 5) || !strncmp(file, "internal/", 9);
}

bool site_is_runtime(const struct store_frame *f)
{
	switch (f->lang) {
	case STORE_LANG_KERNEL:
		return true;
	case STORE_LANG_PYTHON:
		return f->file && is_python_library(f->file);
	case STORE_LANG_JS:
		return !f->file || is_js_library(f->file); /* V8's own have no script */
	default:
		if ((f->file && is_c_library(f->file)) || (f->function && is_template(f->function)))
			return true;
		/* modules in C of the standard library lie beside the others */
		return f->module && (is_runtime_module(f->module) || is_python_library(f->module));
	}
}

bool site_is_dispatch(const struct store_frame *f)
{
	if (f->lang == STORE_LANG_PYTHON)
		return f->file && is_python_library(f->file) && strstr(f->file, "/asyncio/");
	return f->lang == STORE_LANG_JS && f->file && is_js_library(f->file);
}

/* The framework of Python that a frame is of; FAMILY_C: none. Greenlets begin in a module in C,
 * which gevent brings along. */
static enum family framework_of(const struct store_frame *f)
{
	static const struct {
		const char *folder;
		enum family family;
	} folders[] = {{"/twisted/internet/", FAMILY_TWISTED},
		       {"/trio/_core/", FAMILY_TRIO},
		       {"/gevent/", FAMILY_GEVENT},
		       {"/_greenlet.", FAMILY_GEVENT},
		       {"/tornado/", FAMILY_ASYNCIO},
		       {"/uvloop/", FAMILY_ASYNCIO}};
	const char *path = f->lang == STORE_LANG_PYTHON ? f->file : f->module;

	if (!path || (f->lang != STORE_LANG_PYTHON && f->lang != STORE_LANG_NATIVE))
		return FAMILY_C;
	if (is_python_library(path))
		return strstr(path, "/asyncio/") ? FAMILY_ASYNCIO : FAMILY_C;
	for (size_t i = 0; i < LSC_ARRAY_LEN(folders); i++) {
		const char *packages_at = strstr(path, "-packages/");
		if (packages_at && strstr(packages_at, folders[i].folder))
			return folders[i].family;
	}
	return FAMILY_C;
}

static const char *const packages[] = {"/site-packages/", "/dist-packages/", "/node_modules/"};

/* Of a file that was installed beside the application: packages, their start scripts, shared
 * libraries of the system. */
static bool is_installed(const struct store_frame *f)
{
	const char *path = f->lang == STORE_LANG_NATIVE ? f->module : f->file;

	if (!path)
		return false;
	for (size_t i = 0; i < LSC_ARRAY_LEN(packages); i++)
		if (strstr(path, packages[i]))
			return true;
	if (f->lang != STORE_LANG_NATIVE)
		return strstr(path, "/bin/");
	return strstr(path, ".so") && (!strncmp(path, "/usr/lib", 8) || !strncmp(path, "/lib", 4) ||
				       !strncmp(path, "/usr/local/lib", 14));
}

/* Installed beside the application rather than written with it, or compiled into it from there. */
static bool is_dependency(const struct store_frame *f)
{
	if (f->lang == STORE_LANG_NATIVE && f->module && f->file &&
	    (!strncmp(f->file, "/usr/include/", 13) ||
	     !strncmp(f->file, "/usr/local/include/", 19) || strstr(f->file, "cargo/registry/")))
		return true;
	return is_installed(f);
}

enum { RANK_KERNEL = 1, RANK_RUNTIME = 2, RANK_NAMELESS = 4, RANK_DEPENDENCY = 5, RANK_OWN = 7 };

/* A scripting language says more than the C code below it. Of a program without names its place is
 * known, which says more than what it called of the system. */
static int rank(const struct store_frame *f)
{
	bool script = f->lang == STORE_LANG_PYTHON || f->lang == STORE_LANG_JS;
	bool named = f->function && *f->function;

	if (!named && (f->lang != STORE_LANG_NATIVE || !f->module))
		return 0;
	if (f->lang == STORE_LANG_KERNEL)
		return RANK_KERNEL;
	if (!named)
		return site_is_runtime(f) || is_dependency(f) ? 0 : RANK_NAMELESS;
	return (site_is_runtime(f) ? RANK_RUNTIME
		: is_dependency(f) ? RANK_DEPENDENCY
				   : RANK_OWN) +
	       script;
}

const char *site_library_name(struct arena *a, const struct store_frame *f)
{
	const char *path = f->lang == STORE_LANG_NATIVE ? f->module : f->file;

	for (size_t i = 0; i < LSC_ARRAY_LEN(packages); i++) {
		const char *found = strstr(path, packages[i]);
		if (!found)
			continue;
		const char *name = found + strlen(packages[i]);
		size_t n = strcspn(name, "/.");
		if (*name == '@' && name[n] == '/') /* npm's scopes */
			n += 1 + strcspn(name + n + 1, "/.");
		return arena_printf(a, "%.*s", (int)n, name);
	}
	path = basename(path);
	return arena_printf(a, "%.*s", (int)strcspn(path, "."), path);
}

void site_find(const struct store_stack *stack, struct site *ret)
{
	const struct store_frame *best = NULL, *library = NULL;
	int best_rank = RANK_KERNEL; /* a kernel function is nobody's site */

	*ret = (struct site){0};
	enum family framework = FAMILY_C;
	bool from_module = false;
	for (size_t i = 0; i < stack->nframes; i++) {
		const struct store_frame *f = &stack->frames[i];
		if (framework == FAMILY_C)
			framework = framework_of(f);
		from_module = from_module || (f->lang == STORE_LANG_PYTHON && f->function &&
					      !strcmp(f->function, "<module>"));
		if (rank(f) > best_rank) {
			best = f;
			best_rank = rank(best);
			ret->library = best_rank >= RANK_OWN ? library : NULL;
		}
		if (!site_is_runtime(f) && is_installed(f))
			library = f;
	}
	ret->framework = framework;
	ret->from_module = from_module;
	if (!best)
		return;
	ret->rank = best_rank;
	ret->lang = best->lang;
	ret->function = best->function && *best->function ? best->function : NULL;
	ret->file = best->file;
	ret->module = best->module;
	ret->line = best->file && best->line > 0 ? best->line : 0;
	ret->offset = best->offset;
}

bool analysis_site_is_of(const struct site *site, const struct store_frame *f)
{
	if (site->rank == RANK_NAMELESS)
		return !f->function && f->module == site->module && f->offset == site->offset;
	return f->function && f->function == site->function && f->file == site->file;
}

bool site_has_name(const struct site *site)
{
	return site->function && site->rank != RANK_NAMELESS;
}
