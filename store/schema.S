/* SPDX-License-Identifier: MIT */
/* Embeds schema.sql as the NUL-terminated string schema_sql. */
	.section .rodata
	.global schema_sql
	.hidden schema_sql
	.type schema_sql, %object
schema_sql:
	.incbin "schema.sql"
	.byte 0
	.size schema_sql, . - schema_sql
	.section .note.GNU-stack, "", %progbits
