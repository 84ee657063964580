/* SPDX-License-Identifier: MIT */
/*
 * libdwfl walks; this file gives it registers and memory and judges each frame. Nothing is
 * invented: memory above a copy is not read from the live stack, which has moved on, and a return
 * address outside known code ends the walk.
 */
#include "inspect/unwind.h"

#include <dwarf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "inspect/answer.h"
#include "inspect/greenlet.h"
#include "inspect/kept.h"
#include "inspect/perfmap.h"
#include "inspect/pystack.h"
#include "inspect/pyview.h"
#include "inspect/v8code.h"
#include "inspect/v8stack.h"

#define STACK_REACH (8ull << 20) /* above the copy: still the same stack, not to be read live */
#define LIVE_PAGES  32		 /* that one job may read from the target */
#define LIVE_PAGE   4096ull
#define REG_FP	    6

struct unwind {
	struct space *space;
	const struct message_job *job;
	const uint8_t *stack;
	unwind_phase_fn *phase;
	void *arg;
	struct answer *answer;
	bool cut; /* something above the copy was asked for */
	uint64_t page_address;
	size_t page_size;
	unsigned int pages;
	uint8_t page[LIVE_PAGE];
	struct {
		uint64_t pc, sp, address;
		const struct space_map *map;
	} seen[INSPECTOR_FRAMES_MAX];
	size_t nseen;
	struct v8view *v8;	    /* NULL: it has none whose frames can be told */
	struct v8walk v8_walk;	    /* a place for each that was seen */
	struct kept *kept;	    /* what is read, or was before, of the thread; NULL nothing */
	struct message_job sleeper; /* the job of a thread whose stack was kept */
};

/* One word of the live target, through a page that is read once. */
static bool read_live(struct unwind *u, uint64_t address, Dwarf_Word *ret)
{
	uint64_t page = address & ~(LIVE_PAGE - 1);

	if (u->space->mem < 0 || address - page > LIVE_PAGE - sizeof(*ret))
		return false;
	if (!u->pages || u->page_address != page) {
		if (u->pages++ >= LIVE_PAGES)
			return false;
		ssize_t n = pread(u->space->mem, u->page, LIVE_PAGE, (off_t)page);
		u->page_address = page;
		u->page_size = n < 0 ? 0 : (size_t)n;
	}
	if (address - page + sizeof(*ret) > u->page_size)
		return false;
	memcpy(ret, u->page + (address - page), sizeof(*ret));
	return true;
}

static bool read_memory(Dwfl *dwfl, Dwarf_Addr address, Dwarf_Word *ret, void *arg)
{
	struct unwind *u = ((struct space *)arg)->unwind;
	uint64_t above = address - (u->job->regs[INSPECTOR_REG_SP] - INSPECTOR_RED_ZONE);

	(void)dwfl;
	if (above < u->job->size && u->job->size - above >= sizeof(*ret)) {
		memcpy(ret, u->stack + above, sizeof(*ret));
		return true;
	}
	if (!u->job->asleep && above < u->job->size + STACK_REACH) {
		u->cut = true;
		return false;
	}
	return read_live(u, address, ret);
}

static pid_t next_thread(Dwfl *dwfl, void *arg, void **thread)
{
	struct space *s = arg;

	(void)dwfl;
	if (*thread)
		return 0;
	*thread = s;
	return s->unwind->job->tid;
}

static bool set_registers(Dwfl_Thread *thread, void *arg)
{
	struct space *s = arg;

	return dwfl_thread_state_registers(thread, 0, INSPECTOR_REGS,
					   (const Dwarf_Word *)s->unwind->job->regs);
}

static const Dwfl_Thread_Callbacks thread_callbacks = {
	.next_thread = next_thread,
	.memory_read = read_memory,
	.set_initial_registers = set_registers,
};

int unwind_attach(struct space *s, Elf *vdso)
{
	/* The pid is a mark only: nothing is asked of the process. */
	return dwfl_attach_state(s->dwfl, vdso, 1, &thread_callbacks, s) ? 0 : -EIO;
}

/* Writes the frames of one address. -ENOSPC when there is no room for all. */
static int write_frames(struct unwind *u, const struct space_map *map, uint64_t address,
			uint64_t sp)
{
	struct answer *a = u->answer;
	struct message_frame common = {.offset = address, .sp = sp};
	struct space_file *file = NULL;
	const struct symbol *y = NULL;

	if (map && map->path) {
		common.module = answer_text(a, map->path);
		common.offset = address - map->start + map->offset;
		file = map->file < 0 ? NULL : &u->space->files[map->file];
	}
	if (file && file->module) {
		y = symbol_get(u->space, file, address);
		common.build_id = answer_text(a, file->head.build_id);
	}
	for (size_t i = 0; i < (y ? y->ncalls : 1); i++) {
		struct message_frame *frame = answer_frame(a);
		if (!frame)
			return -ENOSPC;
		*frame = common;
		if (!y)
			continue;
		frame->function = answer_text(a, y->calls[i].function);
		frame->file = answer_text(a, y->calls[i].file);
		frame->line = frame->file ? y->calls[i].line : 0;
		if (i + 1 < y->ncalls) {
			frame->flags = MESSAGE_FRAME_INLINED;
			continue;
		}
		frame->flags = y->exported ? MESSAGE_FRAME_EXPORTED : 0;
		frame->near = answer_text(a, y->near);
		if (y->entry >= map->start)
			frame->entry = y->entry - map->start + map->offset;
	}
	return 0;
}

static bool read_word(void *arg, uint64_t address, uint64_t *ret)
{
	struct unwind *u = arg;

	return read_memory(NULL, address, ret, u->space);
}

/* What V8 keeps at the frame pointer of its own code. */
static void note_place(struct unwind *u, Dwfl_Frame *state, const struct space_map *map,
		       uint64_t pc, bool calls)
{
	struct v8place *p = &u->v8_walk.places[u->v8_walk.n++];
	bool cut = u->cut;

	*p = (struct v8place){.code = v8code_is(u->v8, u->space, map, pc - calls),
			      .anonymous = !map || !map->path,
			      .calls = calls,
			      .pc = pc};
	p->read = p->code && dwfl_frame_reg(state, REG_FP, &p->fp) == 0 &&
		  v8stack_read_place(&u->v8->layout, read_word, u, p);
	u->cut = cut; /* whether the stack ends here is for the walk to find out */
}

/* A file's rules are needed for the next step. Without them frame pointers are followed. */
static bool lacks_index(struct unwind *u, const struct space_map *map)
{
	return map && map->file >= 0 && !space_need(u->space, &u->space->files[map->file]) &&
	       space_wants(u->space);
}

static int stop(struct unwind *u, enum message_why why)
{
	u->answer->head.why = why;
	return DWARF_CB_ABORT;
}

static bool was_here(const struct unwind *u, uint64_t pc, uint64_t sp)
{
	for (size_t i = 0; i < u->nseen; i++)
		if (u->seen[i].pc == pc && u->seen[i].sp == sp)
			return true;
	return false;
}

static int on_frame(Dwfl_Frame *state, void *arg)
{
	struct unwind *u = arg;
	Dwarf_Addr pc;
	Dwarf_Word sp = 0;
	bool activation;

	/* A read above the copy failed: what libdwfl says from here on is a guess by rbp. */
	if (u->cut)
		return stop(u, MESSAGE_WHY_NONE);
	if (!dwfl_frame_pc(state, &pc, &activation) ||
	    dwfl_frame_reg(state, INSPECTOR_REG_SP, &sp) != 0)
		return stop(u, MESSAGE_WHY_NO_CFI);
	if (was_here(u, pc, sp))
		return stop(u, MESSAGE_WHY_LOOP);
	/* Not a leaf: pc is behind the call, perhaps in the next function. */
	uint64_t address = activation ? pc : pc - 1;
	const struct space_map *map = space_find(u->space, address);
	if (!map) {
		u->answer->head.flags |= MESSAGE_RESULT_STALE;
		if (u->nseen)
			return stop(u, MESSAGE_WHY_NO_CFI);
	}
	if (u->nseen == INSPECTOR_FRAMES_MAX) {
		u->answer->head.flags |= MESSAGE_RESULT_TRUNCATED;
		return DWARF_CB_ABORT;
	}
	if (lacks_index(u, map))
		return DWARF_CB_ABORT;
	u->seen[u->nseen].pc = pc;
	u->seen[u->nseen].sp = sp;
	u->seen[u->nseen].address = address;
	u->seen[u->nseen++].map = map;
	if (u->v8)
		note_place(u, state, map, pc, !activation);
	return DWARF_CB_OK;
}

/* Writes a frame of JavaScript, behind what is inlined into it. -ENOSPC the same. */
static int write_place(struct answer *a, const struct v8walk *walk, const struct v8place *p)
{
	for (size_t i = 0; i <= p->ninlined; i++) {
		struct message_frame *frame = answer_frame(a);
		if (!frame)
			return -ENOSPC;
		*frame = i < p->ninlined ? walk->inlined[p->first + i] : p->frame;
	}
	return 0;
}

/* Names what was seen. Frames of JavaScript come first: what they lie in may change any moment, and
 * a name of C++ may take milliseconds. */
static void write_all(struct unwind *u)
{
	struct answer *a = u->answer;

	if (u->v8 && u->kept && u->kept->js.n)
		v8chain_judge(&u->kept->js, u->v8, &u->v8_walk, a);
	else if (u->v8)
		v8stack_judge(u->v8, &u->v8_walk, a);
	for (size_t i = 0; i < u->nseen; i++) {
		const struct v8place *p = u->v8 ? &u->v8_walk.places[i] : NULL;
		int r = 0;
		if (!p || p->kind == V8PLACE_NATIVE)
			r = write_frames(u, u->seen[i].map, u->seen[i].address, u->seen[i].sp);
		else if (p->kind == V8PLACE_FRAME)
			r = write_place(a, &u->v8_walk, p);
		if (r < 0) {
			a->head.flags |= MESSAGE_RESULT_TRUNCATED;
			return;
		}
	}
}

/* What was read of the thread when the job was run before. */
static void take_kept(struct unwind *u)
{
	u->kept = kept_find(u->job->cookie);
	if (!u->kept)
		return;
	u->answer->head.flags |= MESSAGE_RESULT_KEPT;
	if (!u->job->asleep)
		return;
	u->sleeper = *u->job;
	u->sleeper.asleep = 0;
	u->sleeper.size = u->kept->size;
	u->job = &u->sleeper;
	u->stack = u->kept->stack;
}

/* The frames of Python come first of all: what else lacks may take longer than they are there.
 * False: where they lie has to be found out. */
static bool take_python(struct unwind *u)
{
	static struct inspector_chain seen;
	const struct message_job *job = u->job;

	if (!job->python || u->kept)
		return true;
	struct pyview *v = pyview_get(u->space, u->phase, u->arg);
	if (space_wants(u->space))
		return false;
	if (job->chain)
		memcpy(&seen, u->stack + job->size, sizeof(seen));
	if (job->chain && seen.count > INSPECTOR_PYFRAMES_MAX)
		v = NULL;
	u->kept = kept_new(job->cookie);
	pychain_read(v, job->python, job->chain ? &seen : NULL, &u->kept->python);
	return true;
}

static void read_words(struct unwind *u)
{
	struct message_result *head = &u->answer->head;

	if (u->job->words && u->space->mem >= 0 &&
	    pread(u->space->mem, head->words, sizeof(head->words), (off_t)u->job->words) ==
		    sizeof(head->words))
		head->flags |= MESSAGE_RESULT_WORDS;
}

static bool is_v8_code(void *arg, uint64_t address, bool *ret_anonymous)
{
	struct unwind *u = arg;
	const struct space_map *map = space_find(u->space, address);

	*ret_anonymous = map && !map->path;
	return v8code_is(u->v8, u->space, map, address);
}

/* Reads the stack of a thread that sleeps, and the frames of JavaScript that are in it, or in the
 * copy that came with the job. */
static void keep_stack(struct unwind *u)
{
	struct kept *k = u->kept;
	struct v8chain_stack stack = {.address =
					      u->job->regs[INSPECTOR_REG_SP] - INSPECTOR_RED_ZONE,
				      .bytes = u->stack,
				      .size = u->job->size};

	if (u->job->asleep) {
		ssize_t n = u->space->mem < 0 ? -1
					      : pread(u->space->mem, k->stack, sizeof(k->stack),
						      (off_t)stack.address);
		k->size = n < 0 ? 0 : (uint32_t)n;
		stack.bytes = k->stack;
		stack.size = k->size;
	}
	if (u->v8)
		v8chain_read(u->v8, &stack, u->job->asleep, is_v8_code, u, &k->js);
}

/* Frames of the program's language that could not be read may be read the next time. */
static bool is_worth_keeping(const struct unwind *u)
{
	if (u->job->python || u->v8)
		return u->kept->js.n || (u->job->python && !u->kept->python.why);
	return u->kept->size;
}

/* The job is run once more: with what was read of the thread now, and of its stack. */
static void keep(struct unwind *u)
{
	struct message_result *head = &u->answer->head;

	if (head->flags & MESSAGE_RESULT_KEPT || (!u->kept && !u->v8 && !u->job->asleep))
		return;
	if (!u->kept)
		u->kept = kept_new(u->job->cookie);
	keep_stack(u);
	if (!is_worth_keeping(u))
		return;
	if (u->job->asleep)
		read_words(u);
	head->flags |= MESSAGE_RESULT_KEEPS;
}

/* Walks, and names what was met. False: a file lacks. */
static bool walk(struct unwind *u)
{
	struct space *s = u->space;
	struct message_result *head = &u->answer->head;

	s->unwind = u;
	int r = dwfl_getthread_frames(s->dwfl, u->job->tid, on_frame, u);
	if (u->cut)
		head->flags |= MESSAGE_RESULT_TRUNCATED;
	else if (r < 0 && !head->why)
		head->why = MESSAGE_WHY_NO_CFI;
	if (!space_wants(s))
		write_all(u);
	s->unwind = NULL;
	return !space_wants(s);
}

size_t unwind_run(struct space *s, const struct message_job *job, const uint8_t *stack,
		  unwind_phase_fn *phase, void *arg, void *buf)
{
	static struct answer answer; /* 60 KiB; the worker has one thread */
	static struct unwind u;

	answer_init(&answer, job->cookie);
	if (!s) {
		answer.head.why = MESSAGE_WHY_UNREADABLE;
		return answer_write(&answer, buf);
	}
	u = (struct unwind){.space = s,
			    .job = job,
			    .stack = stack,
			    .phase = phase,
			    .arg = arg,
			    .answer = &answer};
	u.v8 = v8view_get(s, phase, arg);
	if (u.v8 && u.v8->why)
		u.v8 = NULL;
	if (space_is_gone(s))
		answer.head.flags |= MESSAGE_RESULT_GONE;
	take_kept(&u);
	u.v8_walk.asleep = u.job->asleep;
	if (!take_python(&u))
		return answer_write(&answer, buf);
	bool whole = walk(&u);
	if (!whole || answer.head.flags & (MESSAGE_RESULT_STALE | MESSAGE_RESULT_GONE))
		keep(&u);
	if (s->v8 && s->v8->present && s->v8->why)
		answer.head.language = s->v8->why;
	if (whole)
		greenlet_cut(&answer);
	if (whole && job->python)
		pystack_merge(&u.kept->python, &answer);
	bool stays = answer.head.flags & MESSAGE_RESULT_KEEPS ||
		     (!whole && answer.head.flags & MESSAGE_RESULT_KEPT);
	if (u.kept && !stays)
		kept_drop(u.kept);
	if (!whole) /* the job comes again */
		return answer_write(&answer, buf);
	if (!job->no_map)
		perfmap_name(s, &answer, phase, arg); /* what has no better name */
	answer.head.debug = s->debug_why;
	s->debug_why = MESSAGE_WHY_NONE;
	read_words(&u);
	return answer_write(&answer, buf);
}
