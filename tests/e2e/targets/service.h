/* SPDX-License-Identifier: MIT */
/* A target on libloopscope that obeys lines of its input. */
#ifndef TARGET_SERVICE_H
#define TARGET_SERVICE_H

/* Says "running", then hands on each line that is read. In a task. 0 at the end of the input, or
 * what obey() returned below 0. */
int service_obey(int (*obey)(const char *line));

#endif
