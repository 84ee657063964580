#include "feed.h"
#include <stddef.h>
void feed_scan(struct collector *c, struct target *t){(void)c;(void)t;}
void feed_read(struct collector *c, struct loop *l){(void)c;(void)l;}
void feed_store(struct collector *c, struct loop *l){(void)c;(void)l;}
struct feed *feed_free(struct feed *f){(void)f;return NULL;}
bool feed_kernel_tick(struct feed *f, const struct event_stall *e){(void)f;(void)e;return false;}
void feed_totals(const struct feed *f, uint64_t *a, uint64_t *b, uint64_t *d, const struct lsc_histogram **h){(void)f;(void)a;(void)b;(void)d;(void)h;}
const struct store_task *feed_task(struct feed *f, uint32_t t){(void)f;(void)t;return NULL;}
void feed_victims(struct feed *f, uint64_t b, uint64_t e, uint64_t *c, uint64_t *s, uint64_t *m, const char **w){(void)f;(void)b;(void)e;(void)c;(void)s;(void)m;(void)w;}
