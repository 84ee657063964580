/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "echo.h"

int echo_lines(struct lsc_stream *stream, void *arg)
{
	const char *line;
	ssize_t n;

	++*(int *)arg;
	while ((n = lsc_stream_read_line(stream, &line)) > 0) {
		int r = n == 5 && memcmp(line, "name\n", 5) == 0
				? lsc_stream_write(stream, lsc_task_name(),
						   strlen(lsc_task_name())) |
					  lsc_stream_write(stream, "\n", 1)
				: lsc_stream_write(stream, line, (size_t)n);

		if (r < 0)
			return r;
	}
	return (int)n;
}

void ask(struct lsc_stream *s, const char *text)
{
	const char *line;

	assert_int_equal(lsc_stream_write(s, text, strlen(text)), 0);
	assert_int_equal(lsc_stream_read_line(s, &line), strlen(text));
	assert_memory_equal(line, text, strlen(text));
}
