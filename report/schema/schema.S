/* SPDX-License-Identifier: MIT */
/* The published JSON Schemas, embedded. */
	.section .rodata
	.macro embed name, file
	.global \name
	.hidden \name
	.global \name\()_end
	.hidden \name\()_end
\name:
	.incbin "\file"
\name\()_end:
	.endm
	embed schema_report, "report.json"
	embed schema_check, "check.json"
	embed schema_doctor, "doctor.json"
	embed schema_attach, "attach.json"
	embed schema_ps, "ps.json"
	.section .note.GNU-stack, "", %progbits
