/* SPDX-License-Identifier: MIT */
/*
 * The subcommands: one row each, from which dispatch, --help and `help NAME` come. A subcommand is
 * a function in a file of its own (cmd_NAME.c): argv[0] is its name, the result is the exit status
 * (docs/cli.md). docs/adding-a-command.md says how to add one.
 */
#ifndef LSC_COMMAND_H
#define LSC_COMMAND_H

#include <argp.h>
#include <jansson.h>

#include "base/err.h"

/* What the program returns for mistakes in its use, for results that cannot be written, and for
 * failures of its own. */
#define EXIT_USAGE  2
#define EXIT_OUTPUT 2
#define EXIT_OWN    125

int cmd_attach(int argc, char **argv);
int cmd_record(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_ps(int argc, char **argv);
int cmd_schema(int argc, char **argv);

/* Runs the subcommand that argv names: the whole program. Returns the exit status. */
int command_main(int argc, char **argv);

/* argp_parse() for a subcommand: messages begin with "loopscope NAME:". */
int command_parse(const struct argp *argp, int argc, char **argv, unsigned flags, void *input);

/* Ends the program over a mistake in its use: "loopscope NAME: TEXT; see loopscope help NAME", in
 * one line on stderr. */
_Noreturn void command_misused(const struct argp_state *state, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Flushes stdout. What could not be written, by this or since the last call, is an error: "cannot
 * write to stdout: REASON". It is told once. */
int command_flush(struct lsc_err *err);

/* Prints a document on stdout, in ASCII, and flushes it. -errno and err as above. */
int command_print_json(const json_t *json, struct lsc_err *err);

/* Prints "loopscope NAME: TEXT" on stderr, one line, control characters stripped. name NULL: it is
 * no command's. */
void command_complain(const char *name, const char *text);

#endif
