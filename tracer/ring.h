static inline int ring_scan(int pid, int (*fn)(int, void *), void *arg) { (void)pid;(void)fn;(void)arg; return 0; }
