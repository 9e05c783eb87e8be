/* The steps, from JSON to JSON. */
#ifndef GUARD_H
#define GUARD_H

#include "json.h"

/* How a call ended. */
struct ending {
    /* The output; no bytes if the call failed. */
    struct text output;
    /* A port besides `ok`, or NULL. */
    const char *port;
    /* Where it failed. */
    const char *code;
    const char *message;
};

struct step {
    const char *name;
    const char *summary;
    const char *input_schema;
    const char *output_schema;
    /* Besides `ok`, or NULL. */
    const char *port;
};

#define STEPS 2

extern const struct step steps[STEPS];

struct ending run_step(struct arena *arena, struct text name, struct text input);

#endif
