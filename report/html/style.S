/* SPDX-License-Identifier: MIT */
/* Embeds style.css as the NUL-terminated string html_style. */
	.section .rodata
	.global html_style
	.hidden html_style
	.type html_style, %object
html_style:
	.incbin "style.css"
	.byte 0
	.size html_style, . - html_style
	.section .note.GNU-stack, "", %progbits
