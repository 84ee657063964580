/* SPDX-License-Identifier: MIT */
/* loopscope: the program a person types. */
#include <stdio.h>

#include "command.h"

int main(int argc, char **argv)
{
	int status = command_main(argc, argv);

	/* Results that did not arrive are not results; the cause is mostly a full disk. */
	if ((fflush(stdout) != 0 || ferror(stdout)) && status == 0) {
		perror("loopscope: cannot write to stdout");
		return EXIT_OWN;
	}
	return status;
}
