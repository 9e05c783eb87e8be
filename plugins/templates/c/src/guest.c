// The layer towards moltrun, over what wit-bindgen makes of wit/step.wit. The host's side frees what is handed over, so all of
// it is copied.
#include "transform.h"

#include <stdlib.h>
#include <string.h>

#include "moltrun.h"

typedef transform_string_t string;

static void set(string *to, const char *from) { transform_string_dup(to, from ? from : ""); }

static const char *text(string given) {
    char *copy = malloc(given.len + 1);
    if (!copy) abort();
    memcpy(copy, given.ptr, given.len);
    copy[given.len] = '\0';
    return copy;
}

static void *many(size_t count, size_t size) {
    void *at = calloc(count ? count : 1, size);
    if (!at) abort();
    return at;
}

void exports_moltrun_step_guest_describe(exports_moltrun_step_guest_plugin_info_t *info) {
    memset(info, 0, sizeof *info);
    set(&info->version, mr_version);
    while (mr_steps[info->steps.len]) info->steps.len++;
    info->steps.ptr = many(info->steps.len, sizeof *info->steps.ptr);
    for (size_t i = 0; i < info->steps.len; i++) {
        const mr_step *step = mr_steps[i];
        moltrun_step_types_step_info_t *to = &info->steps.ptr[i];
        set(&to->name, step->name);
        set(&to->summary, step->summary);
        to->effect = (moltrun_step_types_effect_t)step->effect;
        set(&to->input_schema, step->input);
        set(&to->output_schema, step->output);
        while (step->ports[to->ports.len]) to->ports.len++;
        to->ports.ptr = many(to->ports.len, sizeof *to->ports.ptr);
        for (size_t port = 0; port < to->ports.len; port++) set(&to->ports.ptr[port], step->ports[port]);
    }
}

static mr_result call(string *name, string *input) {
    for (size_t i = 0; mr_steps[i]; i++)
        if (strlen(mr_steps[i]->name) == name->len && memcmp(mr_steps[i]->name, name->ptr, name->len) == 0)
            return mr_steps[i]->run((mr_json){ (const char *)input->ptr, input->len });
    return mr_fail("unknown_step", "there is no step of this name");
}

bool exports_moltrun_step_guest_run(string *step, string *input, exports_moltrun_step_guest_output_t *output,
                                    exports_moltrun_step_guest_step_error_t *error) {
    mr_result result = call(step, input);
    if (!result.code) {
        set(&output->data, result.data);
        output->port.is_some = result.port != NULL;
        set(&output->port.val, result.port);
        return true;
    }
    // The failure lies at the same place in each arm.
    memset(error, 0, sizeof *error);
    error->tag = (uint8_t)result.kind;
    moltrun_step_types_failure_t *failure = &error->val.permanent;
    if (result.kind == MR_LATER) {
        failure = &error->val.later.failure;
        error->val.later.after_ms = result.after_ms;
    }
    set(&failure->code, result.code);
    set(&failure->message, result.message);
    failure->details.is_some = result.details != NULL;
    set(&failure->details.val, result.details);
    return false;
}

void mr_log(mr_level level, const char *message) {
    string line = { (uint8_t *)message, strlen(message) };
    transform_list_tuple2_string_string_t fields = { NULL, 0 };
    moltrun_step_log_write((moltrun_step_log_level_t)level, &line, &fields);
}

static const char *asked(void (*ask)(string *)) {
    string answer;
    ask(&answer);
    return text(answer);
}

const char *mr_run_id(void) { return asked(moltrun_step_context_run_id); }
const char *mr_idempotency_key(void) { return asked(moltrun_step_context_idempotency_key); }
uint32_t mr_attempt(void) { return moltrun_step_context_attempt(); }
uint64_t mr_now_ms(void) { return moltrun_step_context_now_ms(); }
