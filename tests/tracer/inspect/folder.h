/* SPDX-License-Identifier: MIT */
#ifndef LSC_TESTS_INSPECT_FOLDER_H
#define LSC_TESTS_INSPECT_FOLDER_H

/* Removes a folder with all that is in it; links are not followed. 0, or -1 and errno. */
int folder_remove(const char *path);

#endif
