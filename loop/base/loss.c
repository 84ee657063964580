/* SPDX-License-Identifier: MIT */
/* Names of loss reasons, as the JSON and the store spell them. */
#include "base/loss.h"

static const char *const names[LSC_LOSS_COUNT] = {
	"bpf-ring-full", "task-ring-overrun", "task-ring-invalid", "event-invalid", "map-full",
	"unconfirmed",	 "store-full",	      "store-error",	   "quota",	    "shutdown",
};

const char *lsc_loss_name(int loss)
{
	return loss >= 0 && loss < LSC_LOSS_COUNT ? names[loss] : "unknown";
}
