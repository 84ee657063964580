/* SPDX-License-Identifier: MIT */
/* What the kernel side can see here, each proven by an event that this process causes. */
#ifndef LSC_PROOF_H
#define LSC_PROOF_H

/* One proof. status: "ok", "missing" or "refused"; detail: what was seen, or why nothing was. */
typedef void proof_fn(void *arg, const char *name, const char *status, const char *detail);

/* Calls fn for each; takes some 100 ms. Only the first one is told where nothing can be loaded. */
void proof_run(proof_fn *fn, void *arg);

#endif
