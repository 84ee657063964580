/* SPDX-License-Identifier: MIT */
/* Fills pages, and sends them when all is read: reading waits for nobody. Names and lines of what
 * many tasks have in common are looked up once. */
#include "inspect/tasklist.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "inspect/answer.h"
#include "inspect/pylist.h"
#include "inspect/pytask.h"

#define TEXTS_MAX 1024 /* a power of two, as the next */
#define LINES_MAX 1024
#define LOOPS_MAX 64
#define TEXT_FULL (PAGE_TEXT / 2) /* a page with more is sent */

struct page {
	struct page *next;
	size_t size;
	uint8_t bytes[];
};

/* The worker has one thread: what is large is static. */
struct tasklist {
	struct page *pages, **end; /* owned; full ones */
	bool failed;		   /* no memory for another one */
	uint32_t nameless;	   /* tasks that are not told */
	struct message_page head;
	struct message_page_task tasks[PAGE_TASKS];
	struct message_page_frame frames[PAGE_FRAMES];
	uint64_t links[PAGE_LINKS];
	char text[PAGE_TEXT];
	struct { /* of this page */
		uint64_t object;
		uint32_t offset;
	} texts[TEXTS_MAX];
	struct {
		uint64_t table, name;
		int64_t at;
		int line;
	} lines[LINES_MAX];
	struct {
		uint64_t loop;
		uint32_t tid;
	} loops[LOOPS_MAX];
	size_t nloops;
};
_Static_assert(sizeof(struct message_page) + PAGE_TASKS * sizeof(struct message_page_task) +
			       PAGE_FRAMES * sizeof(struct message_page_frame) +
			       PAGE_LINKS * sizeof(uint64_t) + PAGE_TEXT <=
		       MESSAGE_MAX,
	       "a page is one message");

static void begin_page(struct tasklist *t, uint64_t cookie)
{
	t->head =
		(struct message_page){.kind = MESSAGE_TASK_PAGE, .cookie = cookie, .text_size = 1};
	t->text[0] = '\0';
	memset(t->texts, 0, sizeof(t->texts));
}

static void *put(void *to, const void *from, size_t size)
{
	memcpy(to, from, size);
	return (uint8_t *)to + size;
}

/* Puts the page to those that are full and begins another one. */
static void end_page(struct tasklist *t)
{
	const struct message_page *h = &t->head;
	size_t tasks = h->ntasks * sizeof(t->tasks[0]), frames = h->nframes * sizeof(t->frames[0]),
	       links = h->nlinks * sizeof(t->links[0]),
	       size = sizeof(*h) + tasks + frames + links + h->text_size;

	if (!h->ntasks || t->failed)
		return;
	struct page *page = malloc(sizeof(*page) + size);
	if (!page) {
		t->failed = true;
		return;
	}
	page->next = NULL;
	page->size = size;
	void *at = page->bytes;
	at = put(at, h, sizeof(*h));
	at = put(at, t->tasks, tasks);
	at = put(at, t->frames, frames);
	at = put(at, t->links, links);
	put(at, t->text, h->text_size);
	*t->end = page;
	t->end = &page->next;
	begin_page(t, h->cookie);
}

/* Sends and frees all pages. A collector that is gone shows at the next receive. */
static void send_pages(struct tasklist *t, int collector)
{
	bool broken = false;

	while (t->pages) {
		struct page *page = t->pages;
		t->pages = page->next;
		broken = broken ||
			 message_send(collector, page->bytes, page->size, NULL, 0, NULL, 0, 0) < 0;
		free(page);
	}
}

static uint32_t add_text(struct tasklist *t, const char *text)
{
	size_t size = strlen(text) + 1;
	uint32_t at = t->head.text_size;

	if (size == 1 || size > sizeof(t->text) - at)
		return 0;
	memcpy(t->text + at, text, size);
	t->head.text_size += (uint32_t)size;
	return at;
}

/* The offset of a text object that several tasks may have. */
static uint32_t text_of(struct tasklist *t, struct pyview *v, uint64_t object)
{
	size_t slot = object / 16 % TEXTS_MAX;
	char text[MESSAGE_TEXT_MAX];

	if (t->texts[slot].object == object)
		return t->texts[slot].offset;
	if (!pyobject_text(v, object, text, sizeof(text)))
		return 0;
	t->texts[slot].object = object;
	t->texts[slot].offset = add_text(t, text);
	return t->texts[slot].offset;
}

static int line_of(struct tasklist *t, struct pyview *v, const struct pyframe *f)
{
	size_t slot = (f->table / 16 + (uint64_t)f->at * 31) % LINES_MAX;

	if (f->at < 0)
		return f->first > 0 ? f->first : 0;
	if (t->lines[slot].table != f->table || t->lines[slot].at != f->at ||
	    t->lines[slot].name != f->name) {
		t->lines[slot].table = f->table;
		t->lines[slot].name = f->name;
		t->lines[slot].at = f->at;
		t->lines[slot].line = pyframe_line(v, f);
	}
	return t->lines[slot].line;
}

static uint32_t thread_of(struct tasklist *t, struct pyview *v, uint64_t loop)
{
	for (size_t i = 0; i < t->nloops; i++)
		if (t->loops[i].loop == loop)
			return t->loops[i].tid;
	uint32_t tid = pylist_thread(v, loop);
	if (t->nloops < LOOPS_MAX) {
		t->loops[t->nloops].loop = loop;
		t->loops[t->nloops++].tid = tid;
	}
	return tid;
}

static enum inspector_pytask_state state_of(const struct pylist_task *task)
{
	if (task->chain.state == PYAWAIT_RUNNING)
		return INSPECTOR_PYTASK_RUNNING;
	return task->waiter ? INSPECTOR_PYTASK_WAITING : INSPECTOR_PYTASK_READY;
}

static bool add_task(struct pyview *v, const struct pylist_task *task, void *arg)
{
	struct tasklist *t = arg;
	struct message_page *h = &t->head;
	char name[MESSAGE_TEXT_MAX];

	/* a task always has a name: this one was freed since it was read */
	if (!pytask_name(v, task->name, name, sizeof(name))) {
		t->nameless++;
		return true;
	}
	if (h->ntasks == PAGE_TASKS || h->nframes + PYAWAIT_MAX > PAGE_FRAMES ||
	    h->nlinks + PYWAKER_MAX > PAGE_LINKS || h->text_size > TEXT_FULL)
		end_page(t);
	struct message_page_task *m = &t->tasks[h->ntasks++];
	*m = (struct message_page_task){.address = task->address,
					.loop = task->loop,
					.waiter = task->waiter,
					.group = task->group,
					.tid = (int32_t)thread_of(t, v, task->loop),
					.state = state_of(task),
					.nlinks = (uint32_t)task->wakes.n,
					.cut = task->chain.cut};
	m->name = add_text(t, name);
	if (task->waiter && pyobject_type_name(v, task->waiter, name, sizeof(name)))
		m->waits = add_text(t, name);
	for (size_t i = 0; i < task->chain.n; i++) {
		const struct pyframe *f = &task->chain.frames[i];
		struct message_page_frame *to = &t->frames[h->nframes];
		if (f->hidden)
			continue;
		*to = (struct message_page_frame){.function = text_of(t, v, f->name),
						  .file = text_of(t, v, f->file)};
		to->line = to->file ? line_of(t, v, f) : 0;
		h->nframes++;
		m->nframes++;
	}
	memcpy(t->links + h->nlinks, task->wakes.found, task->wakes.n * sizeof(t->links[0]));
	h->nlinks += (uint32_t)task->wakes.n;
	return !t->failed;
}

static enum message_why read_all(struct tasklist *t, struct pyview *v, struct inspector_tally *ret)
{
	struct pylist_tally tally;
	uint64_t begin = lsc_now_ns();
	t->nameless = 0;
	enum message_why why = pylist_read(v, add_task, t, &tally);

	end_page(t);
	*ret = (struct inspector_tally){
		.told = (uint32_t)tally.told - t->nameless,
		.changed = (uint32_t)tally.changed + t->nameless,
		.omitted = tally.omitted < UINT32_MAX ? (uint32_t)tally.omitted : UINT32_MAX,
		.torn = (uint32_t)tally.torn,
		.version =
			v->py.version ? (uint32_t)v->py.version : 3u << 24 | v->layout.minor << 16,
		.took_ns = lsc_now_ns() - begin};
	return why;
}

size_t tasklist_run(struct space *s, const struct message_job *job, int collector,
		    unwind_phase_fn *phase, void *arg, void *buf)
{
	static struct answer answer;
	static struct tasklist t;

	answer_init(&answer, job->cookie);
	if (!s || s->mem < 0) {
		answer.head.why = MESSAGE_WHY_UNREADABLE;
		return answer_write(&answer, buf);
	}
	if (space_is_gone(s)) {
		answer.head.flags |= MESSAGE_RESULT_GONE;
		return answer_write(&answer, buf);
	}
	struct pyview *v = pyview_get(s, phase, arg);
	if (!v || !v->py.address)
		return answer_write(&answer, buf);
	answer.head.address = v->py.address;
	answer.head.size = v->py.size;
	memset(&t, 0, sizeof(t));
	t.end = &t.pages;
	begin_page(&t, job->cookie);
	answer.head.why = read_all(&t, v, &answer.head.tally);
	send_pages(&t, collector);
	return answer_write(&answer, buf);
}
