/* SPDX-License-Identifier: MIT */
/* Embeds schema.sql, and what turns a capture of version n - 1 into one of version n, as
 * NUL-terminated strings. */
	.section .rodata
	.macro embed name, file
	.global \name
	.hidden \name
	.type \name, %object
\name:
	.incbin "\file"
	.byte 0
	.size \name, . - \name
	.endm

	embed schema_sql, schema.sql
	embed migration_2_sql, migrations/2.sql
	embed migration_3_sql, migrations/3.sql
	.section .note.GNU-stack, "", %progbits
