// What a step is written against. Memory is not given back: an instance lives for one call.
#ifndef MOLTRUN_H
#define MOLTRUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A JSON value as it stands in the text it is part of. `at` is NULL where there is none.
typedef struct { const char *at; size_t length; } mr_json;

// The member of an object, the element of a list; none if it is not there.
mr_json mr_member(mr_json object, const char *name);
mr_json mr_element(mr_json list, size_t index);
size_t mr_length(mr_json list);

// The value itself. What is not a string is "", what is not a number 0, what is not `true` false. \u0000 ends a string.
char *mr_as_string(mr_json value);
double mr_as_number(mr_json value);
bool mr_as_bool(mr_json value);

// A member's value.
static inline char *mr_string(mr_json object, const char *name) { return mr_as_string(mr_member(object, name)); }
static inline double mr_number(mr_json object, const char *name) { return mr_as_number(mr_member(object, name)); }
static inline bool mr_bool(mr_json object, const char *name) { return mr_as_bool(mr_member(object, name)); }

// Strings: without white space at both ends; several after each other, up to NULL.
char *mr_trim(char *text);
char *mr_concat(const char *first, ...);

// JSON that is being written: an object, which is closed by mr_ok or by mr_add_json into another one.
typedef struct { char *at; size_t length, room; } mr_text;
mr_text mr_object(void);
void mr_add_string(mr_text *object, const char *name, const char *value);
void mr_add_integer(mr_text *object, const char *name, int64_t value);
void mr_add_bool(mr_text *object, const char *name, bool value);
// `value` is a whole JSON text, such as that of mr_close.
void mr_add_json(mr_text *object, const char *name, const char *value);
char *mr_close(mr_text object);

// How an attempt ended. Failures: permanent is never retried; transient is up to the workflow's retry policy; later is tried
// again after `after_ms` and costs no attempt; unknown may or may not have been done.
typedef enum { MR_PERMANENT, MR_TRANSIENT, MR_LATER, MR_UNKNOWN } mr_kind;
typedef struct {
    // Good: the output, and the port (NULL is `ok`).
    const char *data, *port;
    // Bad, if there is a code: [a-z][a-z0-9_]*.
    const char *code, *message, *details;
    mr_kind kind;
    uint64_t after_ms;
} mr_result;
mr_result mr_ok(mr_text object);
mr_result mr_leave(const char *port, mr_text object);
mr_result mr_fail(const char *code, const char *message);

// One step. The schemas are JSON, which MR_SCHEMA takes as it is.
typedef enum { MR_PURE, MR_IDEMPOTENT, MR_AT_MOST_ONCE } mr_effect;
typedef struct {
    const char *name, *summary;
    mr_effect effect;
    const char *input, *output;
    // Named exits besides `ok`, up to NULL.
    const char *ports[8];
    mr_result (*run)(mr_json input);
} mr_step;
#define MR_SCHEMA(...) #__VA_ARGS__

// What plugin.c gives.
extern const char *const mr_version;
extern const mr_step *const mr_steps[];

// A line for the operator.
typedef enum { MR_DEBUG, MR_INFO, MR_WARN, MR_ERROR } mr_level;
void mr_log(mr_level level, const char *message);

// The attempt that is being made; outside of a plugin there is none.
const char *mr_run_id(void);
const char *mr_idempotency_key(void);
uint32_t mr_attempt(void);
uint64_t mr_now_ms(void);

#endif
