/* Memory of one call. Everything lives until the call ends, so that nothing is freed one by one: there is no
 * use after free to make. */
#ifndef ARENA_H
#define ARENA_H

#include <stddef.h>

struct block;

struct arena {
    struct block *blocks;
};

/* `bytes` zeroed bytes, aligned for anything. Ends the program if there are none left, which the host reports. */
void *arena_take(struct arena *arena, size_t bytes);

/* A larger room for what is in `old`, of which `used` bytes are kept. */
void *arena_grow(struct arena *arena, const void *old, size_t used, size_t bytes);

void arena_free(struct arena *arena);

#endif
