/* SPDX-License-Identifier: MIT */
/* seeds NAME DIR: inputs that are sound, for the targets whose input is no text. */
#include <elf.h>
#include "fuzz.h"

#include "inspect/answer.h"
#include "inspect/index.h"

static void write_seed(const char *dir, const char *name, const void *data, size_t size)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "wb");
	FUZZ_MUST(f && fwrite(data, 1, size, f) == size && fclose(f) == 0);
}

static void write_messages(const char *dir)
{
	static struct answer a;
	static uint8_t packet[MESSAGE_MAX];

	answer_init(&a, 7);
	write_seed(dir, "empty", packet, answer_write(&a, packet));
	for (int i = 0; i < 3; i++) {
		struct message_frame *f = answer_frame(&a);
		f->function = answer_text(&a, "nest_a");
		f->file = answer_text(&a, "nest.c");
		f->module = answer_text(&a, "/bin/x");
		f->build_id = answer_text(&a, "00ff");
		f->line = i;
	}
	write_seed(dir, "frames", packet, answer_write(&a, packet));
	a.head.address = 0x1000;
	a.head.size = 0x1000;
	a.head.gil = (struct inspector_gil){.holder = 0x1ff0, .id_offset = 160};
	a.head.task = (struct message_task){.address = 1, .name = answer_text(&a, "Task-1")};
	write_seed(dir, "gil", packet, answer_write(&a, packet));
}

/* Nothing but the version: its memory as it should be. */
static void write_images(const char *dir)
{
	for (uint8_t version = 0; version < 16; version++) {
		char name[16];
		snprintf(name, sizeof(name), "sound-%u", version);
		write_seed(dir, name, &version, 1);
	}
}

/* As they should be: asleep or copied, without bytecode and with it, nothing inlined or something.
 * Some have a word changed: of the heap, of the stack, of a place, of a constant; see fuzz_v8.c for
 * the bytes. */
static void write_walks(const char *dir)
{
	static const uint8_t changes[][5] = {
		{0x00, 0x40, 0x11, 0x00, 0x20}, {0x22, 0x88, 0x00, 0x02}, {0x38, 8, 0, 0x01, 0x12}};

	for (uint8_t i = 0; i < 64; i++) {
		uint8_t seed[2 + sizeof(changes[0])] = {i / 16, (uint8_t)(i % 16 | i % 3 << 4)};
		char name[16];
		snprintf(name, sizeof(name), "sound-%u", i);
		write_seed(dir, name, seed, 2);
		memcpy(seed + 2, changes[i % 3], sizeof(changes[0]));
		snprintf(name, sizeof(name), "changed-%u", i);
		write_seed(dir, name, seed, sizeof(seed));
	}
}

/* A tick with a task that runs, then its end; see fuzz_ring.c for the bytes. */
static void write_ring(const char *dir)
{
	static const uint8_t ring[] = {
		0, 0,  0,	      /* from the oldest, a sound header, no history */
		0, 1,  0, 0, 0, 0, 1, /* TICK_BEGIN */
		0, 3,  0, 0, 0, 1, 0, /* TASK_NEW 1 */
		0, 4,  0, 0, 0, 1, 0, /* READY */
		8, 5,  0, 0, 0, 1, 0, /* RUN, and read */
		0, 6,  1, 0, 0, 1, 0, /* SUSPEND */
		8, 7,  0, 0, 0, 1, 0, /* DONE */
		8, 2,  0, 0, 0, 0, 0, /* TICK_END */
		8, 11, 0, 0, 0, 0, 1, /* SNAPSHOT_BEGIN */
		8, 13, 0, 0, 0, 0, 0, /* SNAPSHOT_END */
	};

	write_seed(dir, "tick", ring, sizeof(ring));
}

static void write_table(const char *dir)
{
	static const uint8_t table[16 + 28] = {[1] = 0x10, [9] = 0x20, [16] = 1, 0x1b,
					       3,	   0x3b,       [24] = 2};

	write_seed(dir, "two", table, sizeof(table));
}

/* A message with a line, and an index with two symbols behind what is left of an ELF file. */
static void write_index(const char *dir)
{
	static struct {
		uint8_t size[2];
		uint8_t rest[4096];
	} seed;
	struct message_index m = {.kind = MESSAGE_INDEX, .inode = 1, .nlines = 1, .text_size = 6};
	const struct index_line line = {
		.offset = 4096, .ncalls = 1, .calls = {{.function = 1, .file = 1, .line = 7}}};
	const struct index_row rows[] = {{.start = 4096, .end = 4200, .reach = 4200, .function = 1},
					 {.start = 4300, .end = 5000, .reach = 5000, .name = 5}};
	struct {
		Elf64_Ehdr e;
		Elf64_Phdr p;
	} elf = {.e = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		       .e_type = ET_DYN,
		       .e_machine = EM_X86_64,
		       .e_version = EV_CURRENT,
		       .e_phoff = sizeof(elf.e),
		       .e_ehsize = sizeof(elf.e),
		       .e_phentsize = sizeof(elf.p),
		       .e_phnum = 1},
		 .p = {.p_type = PT_LOAD,
		       .p_flags = PF_X,
		       .p_offset = 4096,
		       .p_vaddr = 4096,
		       .p_filesz = 8192,
		       .p_memsz = 8192,
		       .p_align = 4096}};
	size_t at = 0, message = sizeof(m) + sizeof(line) + m.text_size;

	m.head = (struct index_head){.elf_size = sizeof(elf),
				     .rows = sizeof(elf),
				     .nrows = 2,
				     .names = sizeof(elf) + sizeof(rows),
				     .names_size = 8,
				     .flags = INDEX_HAS_LINES};
	seed.size[0] = (uint8_t)message;
	seed.size[1] = (uint8_t)(message >> 8);
	const struct {
		const void *data;
		size_t size;
	} parts[] = {{&m, sizeof(m)},	  {&line, sizeof(line)}, {"\0x.c\0", 6},
		     {&elf, sizeof(elf)}, {rows, sizeof(rows)},	 {"main\0_Zf", 8}};
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); at += parts[i++].size)
		memcpy(seed.rest + at, parts[i].data, parts[i].size);
	write_seed(dir, "two", &seed, sizeof(seed.size) + at);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*write)(const char *dir);
	} seeds[] = {{"message", write_messages}, {"cpython", write_images},
		     {"v8", write_walks},	  {"ring", write_ring},
		     {"entry", write_table},	  {"index", write_index}};

	for (size_t i = 0; argc == 3 && i < sizeof(seeds) / sizeof(seeds[0]); i++)
		if (!strcmp(argv[1], seeds[i].name)) {
			seeds[i].write(argv[2]);
			return 0;
		}
	return 2;
}
