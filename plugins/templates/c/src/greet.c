#include "moltrun.h"

// What runs is given fits the input schema; what it returns has to fit the output schema.
static mr_result run(mr_json input) {
    char *name = mr_trim(mr_string(input, "name"));
    if (*name == '\0') return mr_fail("blank_name", "the name is blank; give one");
    mr_log(MR_DEBUG, "greeting");
    mr_text output = mr_object();
    mr_add_string(&output, "text", mr_concat("Hello, ", name, "!", NULL));
    return mr_ok(output);
}

const mr_step greet = {
    .name = "greet",
    .summary = "greets somebody by name",
    .effect = MR_PURE,
    .input = MR_SCHEMA({
        "type": "object",
        "additionalProperties": false,
        "required": ["name"],
        "properties": { "name": { "type": "string", "maxLength": 200, "description": "Whom to greet." } }
    }),
    .output = MR_SCHEMA({
        "type": "object",
        "additionalProperties": false,
        "required": ["text"],
        "properties": { "text": { "type": "string", "description": "The greeting." } }
    }),
    .run = run,
};
