/* SPDX-License-Identifier: MIT */
/* Test tool: for each report document on stdin writes the page and a NUL. */
#include <ctype.h>

#include "html.h"

static int more(FILE *in)
{
	int c;

	do
		c = getc(in);
	while (isspace(c));
	return c != EOF && ungetc(c, in) != EOF;
}

int main(void)
{
	while (more(stdin)) {
		json_error_t why;
		json_t *doc = json_loadf(stdin, JSON_DISABLE_EOF_CHECK, &why);

		if (!doc) {
			fprintf(stderr, "render: %s\n", why.text);
			return 2;
		}
		int r = html_render(doc, stdout);
		json_decref(doc);
		if (r < 0)
			return 1;
		putchar(0);
	}
	return 0;
}
