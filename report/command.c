/* SPDX-License-Identifier: MIT */
/* The table of subcommands and what is derived from it. */
#include "command.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "live.h"
#include "terminal.h"

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

static _Noreturn void __attribute__((format(printf, 2, 0)))
misused(const char *title, const char *format, va_list args)
{
	const char *name = strrchr(title, ' ');
	char text[512];

	vsnprintf(text, sizeof(text), format, args);
	fprintf(stderr, "%s: ", title);
	live_text(text, stderr);
	fprintf(stderr, "; see loopscope help %s\n", name ? name + 1 : title);
	exit(EXIT_USAGE);
}

static _Noreturn void __attribute__((format(printf, 2, 3)))
refuse(const char *title, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	misused(title, format, args);
}

/* ---- options that are none ---- */

#define OPTIONS_MAX 64

struct known_options { /* as getopt_long() takes them */
	struct option list[OPTIONS_MAX];
	char letters[3 * OPTIONS_MAX];
	size_t n;
};

static void know(struct known_options *k, const char *name, int key, bool takes)
{
	if (k->n + 1 == OPTIONS_MAX)
		return;
	k->list[k->n++] = (struct option){name, takes ? required_argument : no_argument, NULL, key};
	if (key > ' ' && key < 0x7f)
		snprintf(k->letters + strlen(k->letters), 3, "%c%s", key, takes ? ":" : "");
}

static void know_all(struct known_options *k, const struct argp *argp)
{
	for (const struct argp_option *o = argp->options; o && (o->name || o->key || o->doc); o++) {
		/* one without a name has its letter alone */
		know(k, o->name ? o->name : "", o->key,
		     o->arg && !(o->flags & OPTION_ARG_OPTIONAL));
		if (o->flags & OPTION_ARG_OPTIONAL && k->n)
			k->list[k->n - 1].has_arg = optional_argument;
	}
	for (const struct argp_child *c = argp->children; c && c->argp; c++)
		know_all(k, c->argp);
}

/* Ends the program over an option that the command does not have, or that lacks its value: argp
 * would say that in three lines. */
static void check_options(const struct argp *argp, int argc, char **argv, unsigned flags,
			  const char *title)
{
	/* a leading ':' has a missing value told apart; '+' ends at the first other argument */
	struct known_options k = {.letters = ":"};
	char *copy[argc + 1]; /* is put into another order */
	int key;

	if (flags & ARGP_IN_ORDER)
		strcpy(k.letters, "+:");
	know_all(&k, argp);
	know(&k, "help", '?', false);
	know(&k, "usage", OPTIONS_MAX << 16, false);
	know(&k, "version", 'V', false);
	memcpy(copy, argv, sizeof(copy));
	optind = 0;
	opterr = 0;
	while ((key = getopt_long(argc, copy, k.letters, k.list, NULL)) != -1) {
		const char *word = copy[optind - 1];

		if (key == ':')
			refuse(title, "%s needs a value", word);
		if (key != '?' || optopt == '?' || !strcmp(word, "--help"))
			continue;
		if (!strncmp(word, "--", 2) && optopt)
			refuse(title, "%s: the option takes no value", word);
		if (!strncmp(word, "--", 2))
			refuse(title, "there is no option %s", word);
		refuse(title, "there is no option -%c", optopt);
	}
}

int command_parse(const struct argp *argp, int argc, char **argv, unsigned flags, void *input)
{
	char title[64], *name = argv[0];

	snprintf(title, sizeof(title), "loopscope %s", name);
	check_options(argp, argc, argv, flags, title);
	argv[0] = title;
	int r = argp_parse(argp, argc, argv, flags, NULL, input);
	argv[0] = name;
	return r;
}

void command_misused(const struct argp_state *state, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	misused(state->name, format, args);
}

int command_flush(struct lsc_err *err)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	int r = errno ? -errno : -EIO;
	clearerr(stdout);
	return lsc_err_set(err, r, "cannot write to stdout: %s", strerror(-r));
}

int command_print_json(const json_t *json, struct lsc_err *err)
{
	bool whole = json_dumpf(json, stdout, JSON_INDENT(1) | JSON_ENSURE_ASCII) == 0;

	putchar('\n');
	int r = command_flush(err);
	return r < 0 || whole ? r : lsc_err_set(err, -ENOMEM, "out of memory");
}

void command_complain(const char *name, const char *text)
{
	/* one line, unless it is a terminal that has it in several */
	FILE *fold = isatty(fileno(stderr)) ? terminal_fold(stderr) : NULL, *out = fold ?: stderr;

	fprintf(out, "loopscope%s%s: ", name ? " " : "", name ? name : "");
	live_text(text, out);
	fputc('\n', out);
	if (fold)
		fclose(fold);
}
