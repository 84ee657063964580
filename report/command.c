/* SPDX-License-Identifier: MIT */
/* The table of subcommands and what is derived from it. */
#include "command.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "live.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
} commands[] = {
	{"attach", cmd_attach, "Watch the event loops of running programs"},
	{"record", cmd_record, "Run a program and watch its event loops"},
	{"report", cmd_report, "Say what happened in a capture: text, JSON, HTML"},
	{"check", cmd_check, "Judge a capture, a process or a command by budgets, for CI"},
	{"ps", cmd_ps, "List the event loops of this host, or the tasks of a process"},
	{"schema", cmd_schema, "Print a published JSON Schema"},
	{"doctor", cmd_doctor, "Say what works on this host, what not, and why"},
};

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < LSC_ARRAY_LEN(commands); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static void help(FILE *out)
{
	fputs("Usage: loopscope COMMAND [OPTION...]\n"
	      "Which task or callback held the event loop, on what, for how long, and who "
	      "waited?\n\n",
	      out);
	for (size_t i = 0; i < LSC_ARRAY_LEN(commands); i++)
		fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].summary);
	fputs("\n  loopscope help COMMAND    the options of a command\n"
	      "  loopscope --version       the version\n",
	      out);
}

static int unknown(const char *name)
{
	fputs("loopscope: there is no command '", stderr);
	live_text(name, stderr);
	fputs("': see loopscope --help\n", stderr);
	return EXIT_USAGE;
}

int command_main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : NULL;

	argp_err_exit_status = EXIT_USAGE;
	argp_program_version = "loopscope " LSC_VERSION;
	if (!name) {
		help(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(name, "--version") || !strcmp(name, "-V")) {
		puts(argp_program_version);
		return 0;
	}
	bool wants_help = !strcmp(name, "help") || !strcmp(name, "--help") || !strcmp(name, "-h");
	if (wants_help && argc == 2) {
		help(stdout);
		return 0;
	}
	if (!strcmp(name, "help"))
		name = argv[2];
	const struct command *c = find(name);
	if (!c)
		return unknown(name);
	if (!wants_help)
		return c->run(argc - 1, argv + 1);
	char *help_argv[] = {(char *)c->name, "--help", NULL};
	return c->run(2, help_argv);
}

int command_parse(const struct argp *argp, int argc, char **argv, unsigned flags, void *input)
{
	char title[64], *name = argv[0];

	snprintf(title, sizeof(title), "loopscope %s", name);
	argv[0] = title;
	int r = argp_parse(argp, argc, argv, flags, NULL, input);
	argv[0] = name;
	return r;
}

void command_misused(const struct argp_state *state, const char *format, ...)
{
	const char *name = strrchr(state->name, ' ');
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "%s: ", state->name);
	live_text(text, stderr);
	fprintf(stderr, "; see loopscope help %s\n", name ? name + 1 : state->name);
	exit(EXIT_USAGE);
}

void command_complain(const char *name, const char *text)
{
	fprintf(stderr, "loopscope %s: ", name);
	live_text(text, stderr);
	fputc('\n', stderr);
}
