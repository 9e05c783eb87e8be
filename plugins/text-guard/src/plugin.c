/* The component's exports, from and to what wit-bindgen makes of wit/step.wit. */
#include "guard.h"
#include "transform.h"

#include <stdlib.h>
#include <string.h>

/* For people; a change of the steps is a new one. */
#define VERSION "1.0.0"

/* A copy that the host's side may free. */
static transform_string_t copy(struct text text)
{
    transform_string_t string = {.ptr = malloc(text.length > 0 ? text.length : 1), .len = text.length};
    if (string.ptr == NULL)
        abort();
    if (text.length > 0)
        memcpy(string.ptr, text.bytes, text.length);
    return string;
}

void exports_moltrun_step_guest_describe(exports_moltrun_step_guest_plugin_info_t *info)
{
    memset(info, 0, sizeof *info);
    info->version = copy(text_of(VERSION));
    info->steps.ptr = calloc(STEPS, sizeof *info->steps.ptr);
    info->steps.len = STEPS;
    for (int i = 0; i < STEPS && info->steps.ptr != NULL; i++) {
        moltrun_step_types_step_info_t *step = &info->steps.ptr[i];
        step->name = copy(text_of(steps[i].name));
        step->summary = copy(text_of(steps[i].summary));
        step->effect = MOLTRUN_STEP_TYPES_EFFECT_PURE;
        step->input_schema = copy(text_of(steps[i].input_schema));
        step->output_schema = copy(text_of(steps[i].output_schema));
        if (steps[i].port != NULL) {
            step->ports.ptr = calloc(1, sizeof *step->ports.ptr);
            if (step->ports.ptr == NULL)
                abort();
            step->ports.ptr[0] = copy(text_of(steps[i].port));
            step->ports.len = 1;
        }
    }
}

bool exports_moltrun_step_guest_run(transform_string_t *step, exports_moltrun_step_guest_json_t *input,
                                    exports_moltrun_step_guest_output_t *output,
                                    exports_moltrun_step_guest_step_error_t *error)
{
    struct arena arena = {0};
    struct text name = {(const char *)step->ptr, step->len}, json = {(const char *)input->ptr, input->len};
    struct ending ending = run_step(&arena, name, json);
    bool has_succeeded = ending.code == NULL;
    if (has_succeeded) {
        memset(output, 0, sizeof *output);
        output->data = copy(ending.output);
        output->port.is_some = ending.port != NULL;
        if (ending.port != NULL)
            output->port.val = copy(text_of(ending.port));
    } else {
        memset(error, 0, sizeof *error);
        error->tag = MOLTRUN_STEP_TYPES_STEP_ERROR_PERMANENT;
        error->val.permanent.code = copy(text_of(ending.code));
        error->val.permanent.message = copy(text_of(ending.message));
    }
    arena_free(&arena);
    return has_succeeded;
}
