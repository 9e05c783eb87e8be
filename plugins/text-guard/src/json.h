/* JSON: a reader that trusts nothing, and a writer. Strings are UTF-8 and may hold NUL: they have a length. */
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "arena.h"

/* Bytes that belong to somebody else. */
struct text {
    const char *bytes;
    size_t length;
};

enum json_kind { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
    enum json_kind kind;
    /* Of a string its characters, of a number its digits as they were written. */
    struct text text;
    /* Of an array and an object: the first inside. */
    struct json *first;
    /* The next one beside it, and its key where it is in an object. */
    struct json *next;
    struct text key;
};

/* Reads one value and nothing behind it; NULL if it is none, with `*error` what is wrong. Escapes of half a character
 * become U+FFFD. Values nest at most 32 deep. */
struct json *json_read(struct arena *arena, struct text input, const char **error);

/* The value of `key` in an object, or NULL; the last one, if it is there several times. */
const struct json *json_get(const struct json *object, const char *key);

/* Text that grows. */
struct writer {
    struct arena *arena;
    char *bytes;
    size_t length;
    size_t room;
};

void write_bytes(struct writer *writer, const char *bytes, size_t length);
void write_text(struct writer *writer, const char *text);
void write_number(struct writer *writer, size_t number);
/* In quotes, escaped. */
void write_string(struct writer *writer, struct text text);

bool text_is(struct text text, const char *other);
struct text text_of(const char *text);

#endif
