/* SPDX-License-Identifier: MIT */
/* loopscope: the program a person types. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "command.h"

/* A standard stream that is closed stays one that fails: no file that is opened later gets its
 * number, and is written into by a printf(). */
static void keep_standard_streams(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 &&
		    open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
			_exit(EXIT_OWN);
}

/* Results that did not arrive are not results: also those of exit() inside argp. */
static void flush_at_exit(int status, void *arg)
{
	struct lsc_err err;

	(void)arg;
	if (command_flush(&err) == 0)
		return;
	command_complain(NULL, err.text);
	if (status == 0)
		_exit(EXIT_OUTPUT);
}

int main(int argc, char **argv)
{
	keep_standard_streams();
	if (on_exit(flush_at_exit, NULL) != 0)
		return EXIT_OWN;
	return command_main(argc, argv);
}
