/* SPDX-License-Identifier: MIT */
#include "inspect/v8chain.h"

#include <string.h>

#define WORD 8

static bool read_word(void *arg, uint64_t address, uint64_t *ret)
{
	const struct v8chain_stack *s = arg;
	uint64_t above = address - s->address;

	if (above >= s->size || s->size - above < sizeof(*ret))
		return false;
	memcpy(ret, s->bytes + above, sizeof(*ret));
	return true;
}

static const struct v8place *find(const struct v8chain *chain, const struct v8place *p)
{
	for (size_t i = 0; i < chain->n; i++) {
		const struct v8place *k = &chain->walk.places[i];
		if (k->fp == p->fp && k->pc == p->pc && k->function == p->function &&
		    k->context == p->context)
			return k;
	}
	return NULL;
}

/* What the word at an address, and the next one, lead to. False: to no frame of JavaScript. */
static bool read_place(const struct v8view *v, struct v8chain_stack *stack, uint64_t address,
		       v8chain_code_fn *is_code, void *arg, struct v8place *ret)
{
	struct v8place p = {.code = true, .calls = true};

	if (!read_word(stack, address, &p.fp) || p.fp <= address || p.fp % WORD ||
	    p.fp - stack->address >= stack->size || !read_word(stack, address + WORD, &p.pc) ||
	    !p.pc || !v8stack_read_place(&v->layout, read_word, stack, &p) ||
	    !v8view_is_object(p.context) || !v8view_is_object(p.function) ||
	    !is_code(arg, p.pc - 1, &p.anonymous))
		return false;
	p.read = true;
	*ret = p;
	return true;
}

static void take_text(struct v8chain *chain, const struct answer *a)
{
	chain->text_size = a->head.text_size < V8CHAIN_TEXT ? a->head.text_size : V8CHAIN_TEXT;
	memcpy(chain->text, a->text, chain->text_size);
	chain->text[chain->text_size - 1] = '\0';
}

void v8chain_read(struct v8view *v, const struct v8chain_stack *stack, bool asleep,
		  v8chain_code_fn *is_code, void *arg, struct v8chain *ret)
{
	static struct answer answer; /* the worker has one thread */
	struct v8chain_stack s = *stack;
	struct v8walk *walk = &ret->walk;
	struct v8place p;

	ret->n = walk->ninlined = 0;
	walk->asleep = asleep;
	answer_init(&answer, 0);
	v8view_begin(v);
	for (size_t at = 0; at < s.size && ret->n < INSPECTOR_FRAMES_MAX; at += WORD) {
		if (!read_place(v, &s, s.address + at, is_code, arg, &p) || find(ret, &p))
			continue;
		answer.head.language = MESSAGE_WHY_NONE;
		v8stack_judge_place(v, walk, &p, &answer);
		if (p.kind != V8PLACE_FRAME || !p.frame.function)
			continue;
		ret->whys[ret->n] = answer.head.language;
		walk->places[ret->n++] = p;
	}
	walk->n = ret->n;
	take_text(ret, &answer);
}

/* A frame with its texts in the answer. */
static struct message_frame copy_frame(const struct v8chain *chain, const struct message_frame *f,
				       struct answer *a)
{
	struct message_frame copy = *f;
	uint32_t *texts[] = {&copy.function, &copy.file};

	for (size_t i = 0; i < 2; i++)
		*texts[i] =
			*texts[i] < chain->text_size ? answer_text(a, chain->text + *texts[i]) : 0;
	copy.line = copy.file ? copy.line : 0;
	return copy;
}

static void take_place(const struct v8chain *chain, const struct v8place *from, struct v8walk *walk,
		       struct v8place *to, struct answer *a)
{
	enum message_why why = chain->whys[from - chain->walk.places];

	to->kind = V8PLACE_FRAME;
	to->frame = copy_frame(chain, &from->frame, a);
	to->first = walk->ninlined;
	for (size_t i = 0; i < from->ninlined && walk->ninlined < INSPECTOR_FRAMES_MAX; i++)
		walk->inlined[walk->ninlined++] =
			copy_frame(chain, &chain->walk.inlined[from->first + i], a);
	to->ninlined = walk->ninlined - to->first;
	if (why && !a->head.language)
		a->head.language = why;
}

void v8chain_judge(const struct v8chain *chain, struct v8view *v, struct v8walk *walk,
		   struct answer *a)
{
	v8view_begin(v);
	walk->ninlined = 0;
	for (size_t i = 0; i < walk->n; i++) {
		struct v8place *p = &walk->places[i];
		const struct v8place *k = p->code && p->read ? find(chain, p) : NULL;
		if (k)
			take_place(chain, k, walk, p, a);
		else
			v8stack_judge_place(v, walk, p, a);
	}
}
