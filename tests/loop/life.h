/* SPDX-License-Identifier: MIT */
/* A short life of a loop, here or in a child that a test has prepared. */
#ifndef LSC_TESTS_LOOP_LIFE_H
#define LSC_TESTS_LOOP_LIFE_H

/* What life() returns: whether its loop was recorded. Anything else is an error. */
#define LIFE_RECORDED	50
#define LIFE_UNRECORDED 60
/* How a child ends that could not be prepared. */
#define LIFE_UNPREPARED 99

/* The main task: marks, yields, sleeps. */
int life(void *arg);

/* How a child ends that prepares and then runs life(): its exit status, or -signal. An error of the
 * loop is its exit status as a positive errno + 100. */
int life_of_child(void (*prepare)(void));

#endif
