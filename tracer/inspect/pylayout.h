/* SPDX-License-Identifier: MIT */
/* Where a version of CPython keeps what is read of it: one row of offsets for each. */
#ifndef LSC_INSPECT_PYLAYOUT_H
#define LSC_INSPECT_PYLAYOUT_H

#include "inspect/cpython.h"

/* All words that are read of a state, of a _PyInterpreterFrame, and up to 3.10 of a PyFrameObject
 * lie within so many bytes. */
#define PYLAYOUT_STATE_BYTES	 184
#define PYLAYOUT_FRAME_BYTES	 80
#define PYLAYOUT_FRAME_BYTES_310 112

/* Offsets in bytes. Of the same place in all versions: an object's type (8), the items of a
 * variable object (16), a type's name (24), a dictionary's keys and values (32, 40), a module's
 * dictionary (16), the bytes of a `bytes` (32). */
struct pylayout {
	uint32_t minor;	       /* of 3.x */
	uint64_t runtime_size; /* sizeof(_PyRuntimeState) */
	/* _PyRuntimeState; interpreters.main follows the head */
	uint32_t interpreters_head;
	uint32_t gil; /* ceval.gil; 0: each interpreter has a pointer to its own */
	/* PyInterpreterState */
	uint32_t interp_threads, interp_gil, interp_modules;
	/* struct _gil_runtime_state; `locked` follows */
	uint32_t gil_last_holder;
	/* PyThreadState */
	uint32_t state_next, state_interp;
	uint32_t state_dict, state_loop; /* asyncio_running_loop of _PyThreadStateImpl; 0: in the
					  * dictionary */
	uint32_t state_id;     /* native_thread_id; else thread_id, which is a pthread_t */
	uint32_t state_id_hop; /* where that has the number of its thread; 0: it is the number */
	/* Whether what follows is known, too. */
	bool frames;
	uint32_t state_cframe; /* the frame's pointer lies where this one points; 0: in the state */
	uint32_t state_frame;
	/* PyFrameObject up to 3.10, _PyInterpreterFrame from 3.11 on; owner and entry 0: none */
	uint32_t frame_code, frame_instr, frame_previous, frame_owner, frame_entry;
	/* PyCodeObject; name is the qualified one since 3.11, as bytes and traceable are there */
	uint32_t code_first, code_file, code_name, code_table, code_traceable, code_bytes;
	/* the same, of one that is suspended: where its stack ends (a pointer up to 3.9, then a
	 * number of words), its state up to 3.10, its local variables */
	uint32_t frame_depth, frame_state, frame_locals;
	/* PyGenObject: a pointer up to 3.10, the frame itself from 3.11 on; its state from then on
	 */
	uint32_t gen_frame, gen_state;
	/* PyFunctionObject, and a class's keys of its instances' attributes (PyHeapTypeObject) */
	uint32_t function_closure, function_name, type_keys;
	/* TaskObject of _asyncio; waiter, coro and name follow each other; coro 0: tasks are not
	 * known */
	uint32_t task_coro, task_state;
	/* since 3.14, where _asyncio is there to tell (pyasyncio.h), else 0: a task's place in the
	 * list of its thread or of the interpreter, the heads of these, and a thread's current
	 * task, borrowed */
	uint32_t task_node, state_tasks, interp_tasks, state_task;
	/* PyASCIIObject, PyCompactUnicodeObject: where the characters lie */
	uint32_t text_ascii, text_wide;
};

/* The row of a version. MESSAGE_WHY_VERSION or MESSAGE_WHY_FREE_THREADED for a version or build
 * without one, and *ret is not set. */
enum message_why pylayout_find(const struct cpython *py, struct pylayout *ret);

/* The main interpreter, if its thread states are as the layout says. 0 or an address. */
uint64_t pylayout_interpreter(const struct cpython *py, const struct pylayout *l);

/* The kernel's number of a state's thread, as the target sees it; 0 unknown. */
uint32_t pylayout_thread(const struct cpython *py, const struct pylayout *l, uint64_t state);

#endif
