/* SPDX-License-Identifier: MIT */
/* loopscope schema: the published JSON Schemas, embedded at build from report/schema/. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "command.h"

extern const char schema_report[], schema_report_end[];
extern const char schema_check[], schema_check_end[];
extern const char schema_doctor[], schema_doctor_end[];
extern const char schema_attach[], schema_attach_end[];
extern const char schema_ps[], schema_ps_end[];

static const struct {
	const char *name, *summary;
	const char *begin, *end;
} schemas[] = {
	{"report", "loopscope report --json", schema_report, schema_report_end},
	{"check", "loopscope check --json", schema_check, schema_check_end},
	{"doctor", "loopscope doctor --json", schema_doctor, schema_doctor_end},
	{"attach", "loopscope attach --json, a line", schema_attach, schema_attach_end},
	{"ps", "loopscope ps --json", schema_ps, schema_ps_end},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	const char **name = state->input;

	if (key != ARGP_KEY_ARG)
		return ARGP_ERR_UNKNOWN;
	if (*name)
		command_misused(state, "only one schema at a time");
	*name = arg;
	return 0;
}

int cmd_schema(int argc, char **argv)
{
	static const struct argp argp = {
		NULL, parse, "[NAME]", "Print a published JSON Schema; without NAME, list them.",
		NULL, NULL,  NULL};
	const char *name = NULL;
	struct lsc_err err;
	size_t i = 0;

	if (command_parse(&argp, argc, argv, 0, &name) != 0)
		return EXIT_USAGE;
	while (name && i < LSC_ARRAY_LEN(schemas) && strcmp(schemas[i].name, name) != 0)
		i++;
	if (i == LSC_ARRAY_LEN(schemas)) {
		command_complain("schema",
				 "there is no such schema: without a name, all are listed");
		return EXIT_USAGE;
	}
	if (name)
		fwrite(schemas[i].begin, 1, (size_t)(schemas[i].end - schemas[i].begin), stdout);
	for (size_t k = 0; !name && k < LSC_ARRAY_LEN(schemas); k++)
		printf("%-8s %s\n", schemas[k].name, schemas[k].summary);
	if (command_flush(&err) < 0) {
		command_complain("schema", err.text);
		return EXIT_OUTPUT;
	}
	return 0;
}
