#include "arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* What is asked for alone gets a block of its own: a tool that watches memory sees each of its bounds. */
struct block {
    struct block *next;
    max_align_t bytes[];
};

void *arena_take(struct arena *arena, size_t bytes)
{
    if (bytes > SIZE_MAX - sizeof(struct block))
        abort();
    struct block *block = calloc(1, sizeof(struct block) + bytes);
    if (block == NULL)
        abort();
    block->next = arena->blocks;
    arena->blocks = block;
    return block->bytes;
}

void *arena_grow(struct arena *arena, const void *old, size_t used, size_t bytes)
{
    void *grown = arena_take(arena, bytes);
    if (used > 0)
        memcpy(grown, old, used);
    return grown;
}

void arena_free(struct arena *arena)
{
    while (arena->blocks != NULL) {
        struct block *block = arena->blocks;
        arena->blocks = block->next;
        free(block);
    }
}
