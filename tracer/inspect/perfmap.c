/* SPDX-License-Identifier: MIT */
/*
 * Lines are kept in order of their addresses. Code moves and its place is used again: of several
 * lines for an address the one that was written last counts. Each entry also holds how far any at
 * or before it reaches, so that a look upwards from an address knows when to stop.
 */
#include "inspect/perfmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "inspect/sidefile.h"

#define ENTRIES_MAX   (1u << 20)
#define SIZE_MAX_OF   (1u << 30) /* of one piece of code */
#define PIECE	      (64u << 10)
#define PIECES_A_TURN 16
#define LOOKS_MAX     (64u << 10) /* of one search: lines that all overlap are not worth more */
#define READS_MAX     8		  /* a second */
#define NUMBER_MAX    18	  /* 0x and 16 digits */
/* Memory for each byte of the file: its names, and of its entries each takes ten bytes at least. */
#define COST 4

struct entry {
	uint64_t start, reach;
	uint32_t size;
	uint32_t name; /* in names; the later, the newer */
};

struct perfmap {
	int fd;		       /* -1: none yet */
	off_t at;	       /* up to where it was read */
	off_t size;	       /* that it had then: what follows the last newline is not read */
	uint64_t reads_ns;     /* when the second began ... */
	unsigned int reads;    /* ... in which it was opened or read so often */
	bool told;	       /* why there are no (more) names */
	struct entry *entries; /* the first nsorted of them by address */
	size_t nentries, nsorted, room;
	char *names;
	size_t names_size, names_room;
};

struct perfmap *perfmap_new(int fd)
{
	struct perfmap *p = calloc(1, sizeof(*p));

	if (!p)
		lsc_closep(&fd);
	else
		p->fd = fd;
	return p;
}

struct perfmap *perfmap_free(struct perfmap *p)
{
	if (!p)
		return NULL;
	lsc_closep(&p->fd);
	free(p->entries);
	free(p->names);
	free(p);
	return NULL;
}

/* A hexadecimal number up to a space. Where it goes on behind that; NULL: it is none. */
static const char *take_number(const char *at, const char *end, uint64_t *ret)
{
	char digits[NUMBER_MAX + 1];
	const char *space = memchr(at, ' ', (size_t)(end - at));
	size_t n = space ? (size_t)(space - at) : 0;
	char *stop;

	if (!n || n > NUMBER_MAX)
		return NULL;
	memcpy(digits, at, n);
	digits[n] = '\0';
	if (digits[0] == '-' || digits[0] == '+' || strspn(digits, "\t\n\v\f\r"))
		return NULL;
	errno = 0;
	*ret = strtoull(digits, &stop, 16);
	return errno || *stop ? NULL : space + 1;
}

static int make_room(struct perfmap *p, size_t name_size)
{
	if (p->nentries == p->room) {
		size_t room = p->room ? 2 * p->room : 1024;
		if (room > ENTRIES_MAX)
			return -EFBIG;
		struct entry *more = realloc(p->entries, room * sizeof(*more));
		if (!more)
			return -ENOMEM;
		p->entries = more;
		p->room = room;
	}
	if (p->names_room - p->names_size < name_size) {
		size_t room = p->names_room ? 2 * p->names_room : PIECE;
		if (room > SIDEFILE_MAP_MAX)
			return -EFBIG;
		char *more = realloc(p->names, room);
		if (!more)
			return -ENOMEM;
		p->names = more;
		p->names_room = room;
	}
	return 0;
}

static int add_line(struct perfmap *p, const char *at, const char *end)
{
	uint64_t start, size;

	at = take_number(at, end, &start);
	if (at)
		at = take_number(at, end, &size);
	if (!at || at == end || !size || size > SIZE_MAX_OF || start + size < start)
		return 0;
	size_t len = strnlen(at, (size_t)(end - at));
	if (len >= MESSAGE_TEXT_MAX)
		len = MESSAGE_TEXT_MAX - 1;
	int r = make_room(p, len + 1);
	if (r < 0)
		return r;
	p->entries[p->nentries++] = (struct entry){
		.start = start, .size = (uint32_t)size, .name = (uint32_t)p->names_size};
	memcpy(p->names + p->names_size, at, len);
	p->names[p->names_size + len] = '\0';
	p->names_size += len + 1;
	return 0;
}

ssize_t perfmap_add(struct perfmap *p, const char *text, size_t size)
{
	const char *at = text, *nl;

	while ((nl = memchr(at, '\n', size - (size_t)(at - text)))) {
		int r = add_line(p, at, nl);
		if (r < 0)
			return r;
		at = nl + 1;
	}
	return at - text;
}

static int compare(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->name < y->name ? -1 : x->name > y->name;
}

/* Merges what came last, sorted, into the rest, from the end on. */
static void merge(struct perfmap *p, const struct entry *last, size_t nlast)
{
	size_t i = p->nsorted;

	for (size_t to = p->nentries; nlast;) {
		bool old = i && compare(&p->entries[i - 1], &last[nlast - 1]) > 0;
		p->entries[--to] = old ? p->entries[--i] : last[--nlast];
	}
}

static void sort(struct perfmap *p)
{
	size_t n = p->nentries - p->nsorted;
	struct entry *last = p->entries + p->nsorted;
	lsc_autofree struct entry *copy = p->nsorted ? malloc(n * sizeof(*copy)) : NULL;
	uint64_t reach = 0;

	if (p->nsorted && !copy) { /* without room for a copy of what is new all is sorted */
		last = p->entries;
		n = p->nentries;
	}
	qsort(last, n, sizeof(*last), compare);
	if (copy) {
		memcpy(copy, last, n * sizeof(*copy));
		merge(p, copy, n);
	}
	for (size_t i = 0; i < p->nentries; i++) {
		struct entry *e = &p->entries[i];
		if (e->start + e->size > reach)
			reach = e->start + e->size;
		e->reach = reach;
	}
	p->nsorted = p->nentries;
}

const char *perfmap_find(struct perfmap *p, uint64_t address, uint64_t *ret_start)
{
	const struct entry *best = NULL;
	size_t low = 0, high = p->nentries;

	if (p->nsorted < p->nentries)
		sort(p);
	while (low < high) { /* the first that begins above */
		size_t mid = low + (high - low) / 2;
		if (p->entries[mid].start <= address)
			low = mid + 1;
		else
			high = mid;
	}
	for (size_t i = low, looks = 0; i > 0 && looks < LOOKS_MAX; i--, looks++) {
		const struct entry *e = &p->entries[i - 1];
		if (e->reach <= address)
			break;
		if (address - e->start < e->size && (!best || e->name > best->name))
			best = e;
	}
	if (!best)
		return NULL;
	*ret_start = best->start;
	return p->names + best->name;
}

/* ---- the file ---- */

static void tell(struct perfmap *p, struct answer *a, int error)
{
	static const struct {
		int error;
		enum message_why why;
	} whys[] = {{-EPERM, MESSAGE_WHY_OWNER},
		    {-ENXIO, MESSAGE_WHY_NO_FILE},
		    {-ELOOP, MESSAGE_WHY_NO_FILE},
		    {-EFBIG, MESSAGE_WHY_TOO_LARGE}};

	for (size_t i = 0; i < LSC_ARRAY_LEN(whys) && !p->told; i++)
		if (whys[i].error == error) {
			a->head.jit = whys[i].why;
			p->told = true;
		}
}

/* Reads one piece from where it was left. The bytes that were taken; 0: no more, or -errno. */
static ssize_t read_piece(struct space *s, struct perfmap *p)
{
	static char piece[PIECE]; /* the worker has one thread */
	ssize_t n = pread(p->fd, piece, sizeof(piece), p->at);

	if (n <= 0)
		return n < 0 ? -errno : 0;
	uint64_t cost = (uint64_t)n * COST;
	if (!space_spend(s, cost))
		return -EFBIG;
	ssize_t taken = perfmap_add(p, piece, (size_t)n);
	if (taken == 0 && n == (ssize_t)sizeof(piece))
		taken = n; /* no line is that long */
	if (taken >= 0) {  /* the rest is read once more */
		space_give_back(s, cost - (uint64_t)taken * COST);
		p->at += taken;
	}
	return taken;
}

static bool may_read(struct perfmap *p)
{
	uint64_t now = lsc_now_ns();

	if (now - p->reads_ns >= LSC_NS_PER_S) {
		p->reads_ns = now;
		p->reads = 0;
	}
	return p->reads++ < READS_MAX;
}

/* There may be more to read, and it may be read. One that is not open may be, if the caller says
 * so. */
static bool has_more(struct perfmap *p, struct answer *a)
{
	struct stat st;

	if (p->fd < 0)
		return true;
	if (fstat(p->fd, &st) == 0 && st.st_size == p->size)
		return false;
	if (may_read(p))
		return true;
	a->head.jit = MESSAGE_WHY_OFTEN;
	return false;
}

/* Reads what was written since; opens it first, if need be. Says so now and then: as long as pieces
 * come it does not hang. */
static void read_on(struct space *s, struct perfmap *p, struct answer *a, unwind_phase_fn *phase,
		    void *arg)
{
	unsigned int pieces = 0;
	struct stat st;
	ssize_t r;

	if (p->fd < 0)
		p->fd = sidefile_ask(s->broker, MESSAGE_PLACE_MAP, s->pid, NULL, 0);
	if (p->fd < 0) {
		tell(p, a, p->fd);
		return;
	}
	bool known = fstat(p->fd, &st) == 0;
	p->size = known ? st.st_size : 0;
	if (!known || st.st_size > SIDEFILE_MAP_MAX) {
		tell(p, a, -EFBIG);
		return;
	}
	if (st.st_size < p->at) { /* it was begun anew */
		p->at = 0;
		p->nentries = p->nsorted = p->names_size = 0;
		space_give_back(s, s->spent); /* nothing else spends */
	}
	do {
		if (pieces++ % PIECES_A_TURN == 0)
			phase(MESSAGE_PHASE_MAP, arg);
		r = read_piece(s, p);
	} while (r > 0 && p->at < SIDEFILE_MAP_MAX);
	if (r < 0)
		tell(p, a, (int)r);
}

/* Looks at the file, which may hang, for an address that was not known. */
static const char *look_again(struct space *s, struct answer *a, uint64_t address,
			      uint64_t *ret_start, unwind_phase_fn *phase, void *arg)
{
	struct perfmap *p = s->perfmap;
	const char *name = NULL;

	if (p->fd < 0 && !may_read(p))
		return NULL;
	phase(MESSAGE_PHASE_MAP, arg);
	if (has_more(p, a)) {
		read_on(s, p, a, phase, arg);
		name = perfmap_find(p, address, ret_start); /* which sorts */
	}
	phase(MESSAGE_PHASE_UNWIND, arg);
	return name;
}

void perfmap_name(struct space *s, struct answer *a, unwind_phase_fn *phase, void *arg)
{
	bool current = false;

	for (size_t i = 0; i < a->head.nframes; i++) {
		struct message_frame *f = &a->frames[i];
		uint64_t start;
		if (f->function || f->module || f->flags)
			continue;
		if (!s->perfmap)
			s->perfmap = perfmap_new(-1);
		const char *name = s->perfmap ? perfmap_find(s->perfmap, f->offset, &start) : NULL;
		if (!name && s->perfmap && !current) {
			current = true;
			name = look_again(s, a, f->offset, &start, phase, arg);
		}
		if (!name)
			continue;
		f->function = answer_copy(a, name);
		f->entry = start;
	}
}
