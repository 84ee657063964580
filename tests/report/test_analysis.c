/* SPDX-License-Identifier: MIT */
/* Sites, relations, profiles and the values of the JSON document. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "fixture.h"

static void the_site_is_the_innermost_frame_of_the_application(void **state)
{
	(void)state;
	static const struct {
		const char *frames[6];
		const char *function; /* NULL: unknown */
	} cases[] = {
		{{"kernel|hrtimer_nanosleep|||", "native|clock_nanosleep|||/usr/lib/libc.so.6",
		  "native||||/usr/bin/redis-server", "native|call|server.c|9|/usr/bin/redis-server",
		  NULL},
		 "call"},
		{{"native|select|||/lib/libc-2.31.so", "native|_PyEval|||/usr/bin/python3.11",
		  "python|run|/usr/lib/python3.11/subprocess.py|5|", "python|fetch|/srv/app.py|3|",
		  NULL},
		 "fetch"},
		{{"native|sqlite3_step|||/usr/lib/libsqlite3.so.0",
		  "python|query|/srv/site-packages/db.py|8|", "python|main|/srv/app.py|3|", NULL},
		 "main"},
		{{"python|recv|/usr/lib/python3.11/socket.py|9|",
		  "python|query|/usr/lib/python3/dist-packages/db.py|8|",
		  "python|<module>|/usr/bin/gunicorn|3|", NULL},
		 "query"},
		{{"native|fsync|||/lib/x86_64-linux-gnu/libc.so.6",
		  "native|sqlite3_step|||/usr/lib/x86_64-linux-gnu/libsqlite3.so.0",
		  "native|save|||/usr/sbin/service", NULL},
		 "save"},
		{{"native|uv__io_poll|||/usr/lib/libuv.so.1", "js|execSync|node:child_process|900|",
		  "js|build|/srv/app.js|12|", NULL},
		 "build"},
		{{"js|(regular expression)|||", "js|test|||",
		  "js|check|file:///srv/node_modules/valid/check.mjs|3|",
		  "js|handle|file:///srv/app.mjs|12|", NULL},
		 "handle"},
		{{"native|open64|||/lib/libc.so.6", "js|openSync|node:fs|9|",
		  "js|load|/srv/node_modules/conf/load.js|4|",
		  "js|processTimers|node:internal/timers|5|", NULL},
		 "load"},
		{{"python|<module>|<string>|1|", "python|run|<frozen runpy>|9|", NULL}, "<module>"},
		{{"native|task_step|||/opt/py/lib/python3.12/lib-dynload/_asyncio.cpython-312.so",
		  "python|run|/opt/py/lib64/python3.12/asyncio/runners.py|5|",
		  "python|start|/opt/py/lib/python3.12/site-packages/web.py|8|", NULL},
		 "start"},
		{{"python|get|/srv/lib/pythonic/app.py|5|",
		  "python|run|/usr/lib64/python3.12/asyncio/runners.py|5|", NULL},
		 "get"},
		{{"native|epoll_wait|||/lib/libc.so.6", "native|__vdso|||[vdso]", NULL},
		 "epoll_wait"},
		{{"native|clock_nanosleep|||/lib/libc.so.6",
		  "native|sleep_for<long "
		  "int>|/usr/include/c++/12/bits/this_thread_sleep.h|80|/srv/app",
		  "native|deep(int)|/srv/app.cc|15|/srv/app", NULL},
		 "deep(int)"},
		{{"native|parse|/usr/include/boost/json.hpp|80|/srv/app",
		  "native|load|/srv/app.cc|15|/srv/app", NULL},
		 "load"},
		{{"native|sleep|/rustc/9fc6b431/library/std/src/thread/mod.rs|80|/srv/app",
		  "native|app::settle|/srv/src/main.rs|15|/srv/app", NULL},
		 "app::settle"},
		{{"native|std::sys::futex::wait|library/std/src/sys/pal/unix/futex.rs|73|/srv/app",
		  "native|app::take|src/main.rs|7|/srv/app", NULL},
		 "app::take"},
		{{"native|poll|/usr/share/cargo/registry/tokio-1.24.2/src/task.rs|7|/srv/app",
		  "native|app::serve|src/main.rs|9|/srv/app", NULL},
		 "app::serve"},
		{{"native|void std::__introsort_loop<int*, long>(int*, int*)|||/srv/app",
		  "native|std::vector<int> (anonymous namespace)::sorted<int>(int)|||/srv/app",
		  NULL},
		 "std::vector<int> (anonymous namespace)::sorted<int>(int)"},
		{{"native|std::function<void (int)>::operator()(int) const|||/srv/app",
		  "native|Made::operator std::string()|||/srv/app", NULL},
		 "Made::operator std::string()"},
		/* of a program without names it is known where */
		{{"native|nanosleep|||/lib/libc.so.6", "native||||/srv/app",
		  "native|uv_run|||/usr/lib/libuv.so.1", NULL},
		 "app+0x1000"},
		{{"native||||/srv/app", "native|main|||/srv/app", NULL}, "main"},
		{{"native||||/srv/app", "native|curl_easy_perform|||/usr/lib/libcurl.so.4", NULL},
		 "curl_easy_perform"},
		{{"native||||/usr/bin/python3.11", "native||||/usr/lib/libssl.so.3", "native||||",
		  "kernel|schedule|||", NULL},
		 NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture f;
		struct analysis a;

		fixture_begin(&f, NULL);
		fixture_stack(&f, 1, cases[i].frames);
		fixture_analyse(&f, &a);
		if (cases[i].function)
			assert_string_equal(a.stacks[0].site.function, cases[i].function);
		else
			assert_null(a.stacks[0].site.function);
		analysis_done(&a);
	}
}

static void one_site_is_one_finding_with_the_worst_line_and_fixes_speak_the_runtime(void **state)
{
	(void)state;
	struct fixture f;
	struct analysis a;

	fixture_begin(&f, NULL);
	fixture_stack(&f, 1, (const char *const[]){"python|fetch|/srv/app.py|3|", NULL});
	fixture_stack(&f, 2, (const char *const[]){"python|fetch|/srv/app.py|9|", NULL});
	fixture_stall(&f, 1, 1000, 60, LSC_CAUSE_SLEEP, "clock_nanosleep", 1);
	fixture_stall(&f, 2, 2000, 90, LSC_CAUSE_SLEEP, "clock_nanosleep", 2);
	fixture_analyse(&f, &a);
	assert_int_equal(a.nfindings, 1);
	assert_int_equal(a.findings[0].count, 2);
	assert_int_equal(a.findings[0].site.line, 9);
	assert_non_null(strstr(a.findings[0].fix, "await asyncio.sleep()"));
	analysis_done(&a);
}

static void a_fix_speaks_the_framework_of_python_that_is_nearest(void **state)
{
	(void)state;
#define DEBIAN "/usr/lib/python3/dist-packages/"
	static const struct {
		const char *caller, *beyond;
		const char *fix; /* how it begins */
	} cases[] = {
		{"python|run|/usr/lib/python3.11/asyncio/events.py|80|", NULL,
		 "Use `await asyncio.sleep()`"},
		{"python|_execute|" DEBIAN "tornado/web.py|1713|", NULL,
		 "Use `await asyncio.sleep()`"},
		{"python|run|" DEBIAN "twisted/internet/base.py|991|", NULL,
		 "Use `reactor.callLater()`"},
		{"python|run|" DEBIAN "twisted/internet/base.py|991|",
		 "python|run|/usr/lib/python3.11/asyncio/events.py|80|",
		 "Use `reactor.callLater()`"},
		{"python|unrolled_run|/srv/venv/lib/python3.12/site-packages/trio/_core/"
		 "_run.py|2002|",
		 NULL, "Use `await trio.sleep()`"},
		{"python|run|" DEBIAN "gevent/baseserver.py|34|", NULL, "Use `gevent.sleep()`"},
		{"native|begin|||" DEBIAN "greenlet/_greenlet.cpython-311-x86_64-linux-gnu.so",
		 NULL, "Use `gevent.sleep()`"},
		{"python|run|" DEBIAN "gunicorn/workers/sync.py|82|",
		 "python|<module>|/usr/bin/gunicorn|8|", "Arm a timer of the loop"},
		{"python|run|/srv/trio/_core/run.py|3|", NULL, /* is no package */
		 "Use `await asyncio.sleep()`"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture f;
		struct analysis a;
		const char *frames[] = {"native|clock_nanosleep|||/lib/libc.so.6",
					"python|save|/srv/app.py|3|", cases[i].caller,
					cases[i].beyond, NULL};

		fixture_begin(&f, NULL);
		fixture_stack(&f, 1, frames);
		bool plain = cases[i].fix[0] == 'A';
		fixture_stack(&f, 2,
			      plain ? (const char *const[]){"python|<module>|/srv/app.py|9|", NULL}
				    : (const char *const[]){"python|other|/srv/app.py|9|", NULL});
		fixture_stall(&f, 1, 1000, 60, LSC_CAUSE_SLEEP, "clock_nanosleep", 1);
		fixture_stall(&f, 2, 2000, 90, LSC_CAUSE_SLEEP, "clock_nanosleep", 2);
		fixture_analyse(&f, &a);
		assert_int_equal(a.nfindings, 2);
		/* the other's stack is cut: its loop is the same */
		for (size_t k = 0; k < a.nfindings; k++)
			if (strncmp(a.findings[k].fix, cases[i].fix, strlen(cases[i].fix)) != 0)
				fail_msg("%zu: %s", i, a.findings[k].fix);
		analysis_done(&a);
	}
}

static void a_program_without_names_has_one_finding_whatever_its_build(void **state)
{
	(void)state;
	static const char *const frames[] = {"native||||/srv/app", NULL};
	char before[17] = "";

	for (uint64_t offset = 0x1000; offset < 0x3000; offset += 0x1000) {
		struct fixture f;
		struct analysis a;

		fixture_begin(&f, NULL);
		f.offset = offset;
		fixture_stack(&f, 1, frames);
		f.offset = offset + 64;
		fixture_stack(&f, 2, frames);
		fixture_stall(&f, 1, 1000, 90, LSC_CAUSE_SLEEP, "clock_nanosleep", 1);
		fixture_stall(&f, 2, 2000, 60, LSC_CAUSE_SLEEP, "clock_nanosleep", 2);
		fixture_analyse(&f, &a);
		assert_int_equal(a.nfindings, 1);
		assert_string_equal(a.findings[0].site.function,
				    offset == 0x1000 ? "app+0x1000" : "app+0x2000");
		if (*before)
			assert_string_equal(a.findings[0].fingerprint, before);
		memcpy(before, a.findings[0].fingerprint, sizeof(before));
		analysis_done(&a);
	}
}

static void a_fix_names_the_library_that_waits_for_the_application(void **state)
{
	(void)state;
	static const struct {
		const char *frames[6];
		const char *fix; /* how it begins */
	} cases[] = {
		{{"native|usleep|||/lib/libc.so.6",
		  "native|sqlite3_step|||/usr/lib/libsqlite3.so.0.8.6",
		  "native|step|||/usr/lib/python3.11/lib-dynload/_sqlite3.cpython-311.so",
		  "python|save|/srv/app.py|3|", NULL},
		 "It is libsqlite3 that waits: run it in `await asyncio.to_thread(...)`"},
		{{"native|nanosleep|||/lib/libc.so.6", "native|time_sleep|||/usr/bin/python3.11",
		  "python|sleep|/srv/venv/lib/python3.11/site-packages/urllib3/util/retry.py|5|",
		  "python|get|/srv/venv/lib/python3.11/site-packages/requests/api.py|8|",
		  "python|fetch|/srv/app.py|3|", NULL},
		 "It is requests that waits: "},
		{{"native|usleep|||/lib/libc.so.6",
		  "native|run|||/srv/node_modules/@acme/db/build/Release/db.node",
		  "js|query|/srv/node_modules/@acme/db/index.js|8|", "js|load|/srv/app.js|3|",
		  NULL},
		 "It is @acme/db that waits: use its asynchronous calls"},
		{{"native|usleep|||/lib/libc.so.6",
		  "native|curl_easy_perform|||/usr/lib/libcurl.so.4",
		  "native|fetch|app.c|3|/srv/app", NULL},
		 "It is libcurl that waits: call it in a thread"},
		{{"native|nanosleep|||/lib/libc.so.6", "native|time_sleep|||/usr/bin/python3.11",
		  "python|save|/srv/app.py|3|",
		  "python|call|/usr/lib/python3/dist-packages/starlette/routing.py|9|", NULL},
		 "Use `await asyncio.sleep()`"}, /* what calls the application does not wait */
		{{"native|nanosleep|||/lib/libc.so.6", "native|time_sleep|||/usr/bin/python3.11",
		  "python|get|/usr/lib/python3/dist-packages/requests/api.py|9|", NULL},
		 "Use `await asyncio.sleep()`"}, /* nor is there one that could */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture f;
		struct analysis a;

		fixture_begin(&f, NULL);
		fixture_stack(&f, 1, cases[i].frames);
		fixture_stall(&f, 1, 1000, 60, LSC_CAUSE_SLEEP, "clock_nanosleep", 1);
		fixture_analyse(&f, &a);
		assert_int_equal(a.nfindings, 1);
		if (strncmp(a.findings[0].fix, cases[i].fix, strlen(cases[i].fix)) != 0)
			fail_msg("%s", a.findings[0].fix);
		analysis_done(&a);
	}
}

/* Another sleep in the first stall. */
static void put_sleep(struct fixture *f, int64_t id, unsigned at_ms, int64_t stack)
{
	struct store_block b = {.id = id,
				.loop = 1,
				.stall = 1,
				.start_ns = FIXTURE_START + MS(at_ms),
				.duration_ns = MS(2),
				.count = 1,
				.syscall = "clock_nanosleep",
				.cause = LSC_CAUSE_SLEEP,
				.stack = stack};

	assert_int_equal(store_put_block(f->s, &b), 0);
}

static void a_block_without_its_language_is_of_the_call_that_holds_the_loop(void **state)
{
	(void)state;
	struct fixture f;
	struct analysis a;

	fixture_begin(&f, NULL);
	fixture_stack(&f, 1,
		      (const char *const[]){"native|usleep|||/lib/libc.so.6",
					    "native|busy|||/usr/lib/libsqlite3.so.0",
					    "python|save|/srv/app.py|3|", NULL});
	fixture_stack(&f, 2,
		      (const char *const[]){"native|usleep|||/lib/libc.so.6",
					    "native|busy|||/usr/lib/libsqlite3.so.0", NULL});
	fixture_stack(&f, 3,
		      (const char *const[]){"native|usleep|||/lib/libc.so.6",
					    "native|other|||/usr/lib/libother.so.0", NULL});
	fixture_stall(&f, 1, 1000, 90, LSC_CAUSE_SLEEP, "clock_nanosleep", 1);
	put_sleep(&f, 5, 1010, 2);
	put_sleep(&f, 6, 1020, 3);
	fixture_analyse(&f, &a);
	assert_int_equal(a.nfindings, 2);
	assert_string_equal(a.findings[0].site.function, "save");
	assert_string_equal(a.findings[1].site.function, "other");
	analysis_done(&a);
}

static void victims_are_counted_by_what_lies_in_the_stall(void **state)
{
	(void)state;
	struct fixture f;
	struct analysis a;

	fixture_begin(&f, NULL);
	fixture_stall(&f, 1, 1000, 100, LSC_CAUSE_SLEEP, NULL, 0);
	fixture_stall(&f, 2, 1200, 100, LSC_CAUSE_SLEEP, NULL, 0);
	fixture_wait(&f, 1, STORE_WAIT_SOCKET, 1050, 60, 0); /* 50 in the first */
	fixture_wait(&f, 2, STORE_WAIT_SOCKET, 900, 400, 0); /* 100 in each */
	fixture_wait(&f, 3, STORE_WAIT_SOCKET, 900, 100, 0); /* ended as the first began */
	fixture_wait(&f, 4, STORE_WAIT_TIMER, 1110, 50, 0);  /* between them */
	for (int64_t i = 5; i < 110; i++)
		fixture_wait(&f, i, STORE_WAIT_SOCKET, 1210, 10, 0);
	fixture_analyse(&f, &a);
	assert_int_equal(a.stalls[0].nvictims, 2);
	assert_int_equal(a.stalls[0].victim_sum_ns, MS(150));
	assert_int_equal(a.stalls[0].victim_max_ns, MS(100));
	assert_int_equal(a.stalls[1].nvictims, 106);

	json_t *j = report_json(&a);
	assert_non_null(j);
	json_t *victims =
		json_object_get(json_array_get(json_object_get(j, "stalls"), 1), "victims");
	assert_int_equal(json_integer_value(json_object_get(victims, "count")), 106);
	assert_int_equal(json_array_size(json_object_get(victims, "list")), ANALYSIS_VICTIMS_MAX);
	assert_int_equal(json_integer_value(json_object_get(victims, "omitted")), 6);
	assert_int_equal(json_integer_value(json_object_get(
				 json_array_get(json_object_get(victims, "list"), 0), "wait_ns")),
			 MS(100));
	json_decref(j);
	analysis_done(&a);
}

static void profiles_add_up_what_each_stack_cost(void **state)
{
	(void)state;
	struct fixture f;
	struct analysis a;

	fixture_begin(&f, NULL);
	fixture_native(&f, 1, "one", 1);
	fixture_native(&f, 2, "two", 2);
	fixture_stall(&f, 1, 1000, 20, LSC_CAUSE_SLEEP, "nanosleep", 1);
	fixture_stall(&f, 2, 2000, 30, LSC_CAUSE_SLEEP, "nanosleep", 2);
	fixture_stall(&f, 3, 3000, 20, LSC_CAUSE_SLEEP, "nanosleep", 1);
	for (int i = 0; i < 10; i++)
		store_put_sample(f.s, &(struct store_sample){.loop = 1,
							     .stack = 2,
							     .ns = MS(4),
							     .ts_ns = FIXTURE_START + MS(i)});
	fixture_analyse(&f, &a);
	assert_int_equal(a.nprofiles, 2);
	assert_int_equal(a.profiles[0].kind, PROFILE_BLOCKED);
	assert_int_equal(a.profiles[0].nstacks, 2);
	assert_int_equal(a.profiles[0].stacks[0].stack, 1);
	assert_int_equal(a.profiles[0].stacks[0].ns, MS(40));
	assert_int_equal(a.profiles[1].kind, PROFILE_CPU);
	assert_int_equal(a.profiles[1].stacks[0].ns, MS(40));
	analysis_done(&a);
}

static void what_a_bound_leaves_out_is_said(void **state)
{
	(void)state;
	struct fixture f;
	struct analysis a;

	fixture_begin(&f, NULL);
	for (unsigned i = 0; i < 10003; i++)
		assert_int_equal(
			store_put_mode(f.s,
				       &(struct store_mode_span){.loop = 1,
								 .from_ns = FIXTURE_START + i,
								 .to_ns = FIXTURE_START + i + 1}),
			0);
	fixture_analyse(&f, &a);
	assert_int_equal(a.nmodes, 10000);
	assert_int_equal(a.nunseen, 1);
	assert_string_equal(a.unseen[0].what, "mode changes");
	assert_int_equal(a.unseen[0].n, 3);
	analysis_done(&a);
}

static json_int_t number(const json_t *j, const char *key)
{
	json_t *v = json_object_get(j, key);

	assert_true(json_is_integer(v));
	return json_integer_value(v);
}

static void the_document_holds_the_values_of_the_capture(void **state)
{
	(void)state;
	struct fixture f;
	struct analysis a;

	fixture_begin(&f, NULL);
	fixture_sleeping(&f);
	fixture_analyse(&f, &a);
	json_t *j = report_json(&a);
	assert_non_null(j);
	assert_string_equal(json_string_value(json_object_get(j, "schema")), "loopscope.report/1");
	json_t *capture = json_object_get(j, "capture");
	assert_string_equal(json_string_value(json_object_get(capture, "start")),
			    "2023-11-14T22:13:20.000000000Z");
	assert_int_equal(number(capture, "duration_ns"), 10 * LSC_NS_PER_S);
	assert_true(json_is_null(json_object_get(json_object_get(capture, "events"), "emitted")));
	assert_true(json_real_value(json_object_get(capture, "coverage")) == 1.0);
	json_t *loop = json_array_get(json_object_get(j, "loops"), 0);
	assert_int_equal(number(loop, "pid"), 4242);
	assert_int_equal(number(loop, "stall_count"), 3);
	assert_true(json_real_value(json_object_get(loop, "utilization")) == 0.05);
	assert_int_equal(number(json_object_get(loop, "lag"), "max_ns"), 999000);
	json_t *stall = json_array_get(json_object_get(j, "stalls"), 0);
	assert_int_equal(number(stall, "start_ns"), MS(1000));
	assert_int_equal(number(stall, "duration_ns"), MS(300));
	assert_string_equal(json_string_value(json_object_get(stall, "cause")), "sleep");
	assert_int_equal(json_array_size(json_object_get(stall, "split")), 1);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(stall, "site"), "function")),
		"debugCommand");
	json_t *block = json_array_get(json_object_get(stall, "blocks"), 0);
	assert_int_equal(number(json_object_get(block, "args"), "requested_ns"), MS(300));
	assert_int_equal(number(json_object_get(block, "resource"), "requested_ns"), MS(300));
	assert_true(json_is_null(json_object_get(block, "owner")));
	assert_int_equal(number(json_object_get(stall, "victims"), "count"), 20);
	json_decref(j);
	analysis_done(&a);
}

static void a_hostile_capture_becomes_a_valid_document(void **state)
{
	(void)state;
	struct fixture f;
	struct analysis a;

	fixture_begin(&f, NULL);
	fixture_hostile(&f);
	fixture_analyse(&f, &a);
	json_t *j = report_json(&a), *back;
	assert_non_null(j);
	char *text = json_dumps(j, 0);
	assert_non_null(text);
	assert_null(strchr(text, '\033'));
	assert_non_null(strstr(text, "9223372036854775807"));
	assert_null(strstr(text, ": -9223372036854775807"));
	back = json_loads(text, 0, NULL);
	assert_true(json_equal(j, back));
	free(text);
	json_decref(back);
	json_decref(j);
	analysis_done(&a);
}

static void marks_belong_to_the_stall_in_which_they_were_said(void **state)
{
	(void)state;
	struct fixture f;
	struct analysis a;
	const struct store_mark other = {
		.loop = 2, .ts_ns = FIXTURE_START + MS(1001), .text = "of another loop"};

	fixture_begin(&f, NULL);
	fixture_task(&f, 7, "checkout");
	fixture_stall(&f, 1, 1000, 100, LSC_CAUSE_SLEEP, NULL, 0);
	fixture_stall(&f, 2, 2000, 50, LSC_CAUSE_SLEEP, NULL, 0);
	fixture_mark(&f, MS(1100), 7, "its last ns");
	fixture_mark(&f, MS(1000), 7, "its first ns");
	fixture_mark(&f, MS(1000) - 1, 0, "before");
	fixture_mark(&f, MS(1100) + 1, 0, "behind");
	for (unsigned i = 0; i < ANALYSIS_MARKS_MAX + 5; i++)
		fixture_mark(&f, MS(2000) + i, 0, "one of many");
	assert_int_equal(store_put_mark(f.s, &other), 0);
	fixture_analyse(&f, &a);
	assert_int_equal(a.stalls[0].nmarks, 2);
	assert_string_equal(a.marks[a.stalls[0].first_mark].text, "its first ns");
	assert_string_equal(a.marks[a.stalls[0].first_mark + 1].text, "its last ns");
	assert_true(analysis_task_of(&a, 7)->referenced);

	json_t *j = report_json(&a), *stall, *said;
	assert_non_null(j);
	stall = json_array_get(json_object_get(j, "stalls"), 1);
	said = json_object_get(stall, "marks");
	assert_int_equal(json_integer_value(json_object_get(said, "count")),
			 ANALYSIS_MARKS_MAX + 5);
	assert_int_equal(json_array_size(json_object_get(said, "list")), ANALYSIS_MARKS_MAX);
	assert_int_equal(json_integer_value(json_object_get(said, "omitted")), 5);
	said = json_object_get(json_object_get(j, "marks"), "list");
	assert_int_equal(json_array_size(said), ANALYSIS_MARKS_MAX + 10);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(said, 0), "ts_ns")),
			 MS(1000) - 1);
	json_decref(j);
	analysis_done(&a);
}

/* Of ten samples so many end in a function without rules, the others reach the application. */
static const char *site_of_broken(struct analysis *a, int broken)
{
	struct fixture f;

	fixture_begin(&f, NULL);
	fixture_stack(&f, 1, (const char *const[]){"native|sha512_block|||/usr/bin/node", NULL});
	fixture_stack(&f, 2,
		      (const char *const[]){"native|sha512_block|||/usr/bin/node",
					    "js|sign|/srv/app.js|12|", NULL});
	fixture_stall(&f, 1, 1000, 100, LSC_CAUSE_CPU_USER, NULL, 0);
	for (int i = 0; i < 10; i++)
		store_put_sample(
			f.s, &(struct store_sample){.loop = 1,
						    .stall = 1,
						    .stack = i < broken ? 1 : 2,
						    .ns = MS(10),
						    .ts_ns = FIXTURE_START + MS(1000 + 10 * i)});
	fixture_analyse(&f, a);
	return a->stalls[0].site.function;
}

static void stacks_that_end_early_do_not_hide_the_application(void **state)
{
	(void)state;
	struct analysis a;

	assert_string_equal(site_of_broken(&a, 7), "sign");
	analysis_done(&a);
	assert_string_equal(site_of_broken(&a, 9), "sha512_block"); /* it is too little of it */
	analysis_done(&a);
}

static void a_stall_that_computes_is_told_by_where_it_did_and_not_by_where_it_waited(void **state)
{
	struct fixture f;
	struct analysis a;

	(void)state;
	for (int sampled = 0; sampled < 2; sampled++) {
		fixture_begin(&f, NULL);
		fixture_task(&f, 9, "renderer");
		fixture_native(&f, 1, "settle", 6);
		fixture_native(&f, 2, "render", 60);
		fixture_stall(&f, 1, 1000, 100, LSC_CAUSE_CPU_USER, NULL, 1);
		for (int i = 0; i < 10; i++)
			store_put_sample(f.s, &(struct store_sample){.loop = 1,
								     .stall = 1,
								     .task = sampled ? 9 : 0,
								     .stack = sampled ? 2 : 1,
								     .ns = MS(10),
								     .ts_ns = FIXTURE_START +
									      MS(1000 + 10 * i)});
		fixture_analyse(&f, &a);
		assert_string_equal(a.stalls[0].site.function, sampled ? "render" : "settle");
		assert_int_equal(a.stalls[0].row.stack, sampled ? 2 : 1);
		assert_int_equal(a.stalls[0].row.task, sampled ? 9 : 0);
		analysis_done(&a);
	}
}

static void a_stall_without_its_stack_joins_the_only_finding_that_fits(void **state)
{
	struct fixture f;
	struct analysis a;

	(void)state;
	for (int several = 0; several < 2; several++) {
		fixture_begin(&f, NULL);
		fixture_native(&f, 1, "settle", 6);
		fixture_native(&f, 2, "render", 60);
		/* the one without a stack comes first: the order of time must not matter */
		fixture_stall(&f, 1, 500, 110, LSC_CAUSE_SLEEP, "clock_nanosleep", 0);
		fixture_stall(&f, 2, 1000, 120, LSC_CAUSE_SLEEP, "clock_nanosleep", 1);
		fixture_stall(&f, 3, 2000, 130, LSC_CAUSE_SLEEP,
			      several ? "clock_nanosleep" : "nanosleep", 2);
		fixture_analyse(&f, &a);
		assert_int_equal(a.nfindings, several ? 3 : 2);
		for (size_t i = 0; i < a.nfindings; i++) {
			const struct finding *one = &a.findings[i];
			bool settle = one->site.function && !strcmp(one->site.function, "settle");

			assert_int_equal(one->count, settle && !several ? 2 : 1);
			assert_int_equal(!strstr(one->message, "(its stack is not known)"),
					 one->site.function != NULL);
		}
		analysis_done(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_stall_that_computes_is_told_by_where_it_did_and_not_by_where_it_waited),
		cmocka_unit_test(a_stall_without_its_stack_joins_the_only_finding_that_fits),
		cmocka_unit_test(the_site_is_the_innermost_frame_of_the_application),
		cmocka_unit_test(
			one_site_is_one_finding_with_the_worst_line_and_fixes_speak_the_runtime),
		cmocka_unit_test(a_fix_speaks_the_framework_of_python_that_is_nearest),
		cmocka_unit_test(a_program_without_names_has_one_finding_whatever_its_build),
		cmocka_unit_test(a_fix_names_the_library_that_waits_for_the_application),
		cmocka_unit_test(a_block_without_its_language_is_of_the_call_that_holds_the_loop),
		cmocka_unit_test(victims_are_counted_by_what_lies_in_the_stall),
		cmocka_unit_test(stacks_that_end_early_do_not_hide_the_application),
		cmocka_unit_test(marks_belong_to_the_stall_in_which_they_were_said),
		cmocka_unit_test(profiles_add_up_what_each_stack_cost),
		cmocka_unit_test(what_a_bound_leaves_out_is_said),
		cmocka_unit_test(the_document_holds_the_values_of_the_capture),
		cmocka_unit_test(a_hostile_capture_becomes_a_valid_document),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
