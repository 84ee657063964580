/* SPDX-License-Identifier: MIT */
/* tracer/stacks: which frames of a stack a live line has, and how they are written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "evidence.h"

static struct collector c;

/* There is no capture here. */
int __wrap_store_put_stack(struct store *s, const struct store_stack *stack);
int __wrap_store_put_stack(struct store *s, const struct store_stack *stack)
{
	return s ? -1 : (int)stack->id;
}

static int forget(void **state)
{
	(void)state;
	stacks_free(&c);
	c = (struct collector){0};
	return 0;
}

static struct store_frame js(const char *function, const char *file, int line)
{
	return (struct store_frame){.lang = STORE_LANG_JS,
				    .function = (char *)function,
				    .file = (char *)file,
				    .line = line};
}

static struct store_frame native(const char *function)
{
	return (struct store_frame){
		.lang = STORE_LANG_NATIVE, .function = (char *)function, .module = "/usr/bin/node"};
}

/* The frames of the live line, joined. */
static void assert_shown(const struct store_frame *frames, size_t n, const char *expected)
{
	const struct known_stack *k = stack_of(&c, stack_intern(&c, frames, n, false));
	char shown[1024] = "";

	assert_non_null(k);
	for (size_t i = 0; i < k->nframes; i++) {
		strncat(shown, i ? " <- " : "", sizeof(shown) - strlen(shown) - 1);
		strncat(shown, k->frame[i], sizeof(shown) - strlen(shown) - 1);
	}
	assert_string_equal(shown, expected);
}

static void of_nodes_own_frames_the_one_that_was_called_is_shown(void **state)
{
	const struct store_frame frames[] = {
		native("uv_spawn"),
		js("spawnSync", "node:internal/child_process", 1108),
		js("spawnSync", "node:child_process", 832),
		native("v8::Call"),
		js("execSync", "node:child_process", 954),
		js("runTool", "/srv/app/tool.js", 5),
		js("handle", "/srv/app/server.js", 6),
		js("emit", "node:events", 471),
		js("parserOnIncoming", "node:_http_server", 1026),
	};

	(void)state;
	assert_shown(
		frames, LSC_ARRAY_LEN(frames),
		"execSync (node:child_process:954) <- runTool (tool.js:5) <- handle (server.js:6)"
		" <- parserOnIncoming (node:_http_server:1026)");
}

static void a_file_of_node_is_told_from_the_applications(void **state)
{
	const struct store_frame frames[] = {
		js("onTimer", "file:///srv/app/timers.mjs", 9),
		js("listOnTimeout", "node:internal/timers", 524),
	};

	(void)state;
	assert_shown(frames, LSC_ARRAY_LEN(frames),
		     "onTimer (timers.mjs:9) <- listOnTimeout (node:internal/timers:524)");
}

static struct store_frame python(const char *function, const char *file, int line)
{
	return (struct store_frame){.lang = STORE_LANG_PYTHON,
				    .function = (char *)function,
				    .file = (char *)file,
				    .line = line};
}

static void of_frames_of_pythons_library_the_one_that_was_called_is_shown(void **state)
{
	const struct store_frame frames[] = {
		native("poll"),
		python("_PollLikeSelector.select", "/usr/lib/python3.11/selectors.py", 415),
		python("Popen._communicate", "/usr/lib/python3.11/subprocess.py", 2021),
		python("run", "/usr/lib/python3.11/subprocess.py", 550),
		python("convert", "/srv/app/images.py", 8),
		python("call", "/srv/venv/lib/python3.11/site-packages/web/app.py", 30),
		python("Handle._run", "/usr/lib/python3.11/asyncio/events.py", 80),
		python("_run_once", "/usr/lib/python3.11/asyncio/base_events.py", 1922),
		python("run", "/usr/lib/python3.11/asyncio/runners.py", 190),
		python("<module>", "/srv/app/main.py", 3),
		python("_run_module", "<frozen runpy>", 88),
	};

	(void)state;
	assert_shown(frames, LSC_ARRAY_LEN(frames),
		     "run (subprocess.py:550) <- convert (images.py:8) <- call (app.py:30)"
		     " <- run (runners.py:190) <- <module> (main.py:3) <- _run_module (<frozen "
		     "runpy>:88)");
}

/* However deep node's own are: there is room for twelve. */
static void the_function_of_the_application_is_reached(void **state)
{
	struct store_frame frames[40];
	size_t n = LSC_ARRAY_LEN(frames);

	(void)state;
	for (size_t i = 0; i < n - 2; i++)
		frames[i] = i % 3 ? js("formatValue", "node:internal/util/inspect", 793)
				  : js("map", NULL, 0); /* V8's own */
	frames[n - 2] = js("inspect", "node:internal/util/inspect", 320);
	frames[n - 1] = js("dump", "/srv/app/dump.js", 3);
	assert_shown(frames, n,
		     "map <- inspect (node:internal/util/inspect:320) <- dump (dump.js:3)");
}

/* Code without a file may be the application's, evaluated. */
static void frames_without_a_file_stay(void **state)
{
	const struct store_frame frames[] = {
		js("now", "node:internal/perf/performance", 137),
		js("evaluated", NULL, 0),
		js("run", "/srv/app/run.js", 2),
		js("forEach", NULL, 0),
		js("all", "/srv/app/run.js", 1),
	};

	(void)state;
	assert_shown(
		frames, LSC_ARRAY_LEN(frames),
		"now (node:internal/perf/performance:137) <- evaluated <- run (run.js:2) <- forEach"
		" <- all (run.js:1)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(of_nodes_own_frames_the_one_that_was_called_is_shown,
					  forget),
		cmocka_unit_test_teardown(
			of_frames_of_pythons_library_the_one_that_was_called_is_shown, forget),
		cmocka_unit_test_teardown(a_file_of_node_is_told_from_the_applications, forget),
		cmocka_unit_test_teardown(the_function_of_the_application_is_reached, forget),
		cmocka_unit_test_teardown(frames_without_a_file_stay, forget),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
