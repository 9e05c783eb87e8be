// moltrun's JavaScript: quickjs-ng without its library of the operating system, snapshot after it has started. One call an
// instance. QuickJS is included and not linked, because a few of its insides are set here that it has no functions for.
#include "quickjs.c"

#include "script.h"
#include "text.h"
#include "result.h"
#include "console.h"

// Memory of the script, of the 64 MiB of an instance: the rest is for the engine, what comes in and what goes out.
#define MEMORY_BYTES (52u * 1024 * 1024)

// Of the stack in memory, which is 512 KiB. The host's own stack is the scarcer one: deep recursion must end here first.
#define STACK_BYTES (88u * 1024)

// Garbage is looked for beyond this: most scripts end before.
#define COLLECT_BYTES (16u * 1024 * 1024)

// Frames of an error's stack.
#define FRAMES 8

extern int64_t script_now_ms;

static JSRuntime *runtime;
static JSContext *context;

// Bytes the script holds, and whether it was ever denied more.
static size_t used, limit = SIZE_MAX;
static bool denied;

static bool fits(size_t bytes) {
  bool fit = used <= limit && bytes <= limit - used;
  denied |= !fit;
  return fit;
}

static void *counted(void *memory) {
  if (memory) used += malloc_usable_size(memory);
  else denied = true;
  return memory;
}

static void *memory_calloc(void *opaque, size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes) || !fits(bytes)) return NULL;
  return counted(calloc(1, bytes));
}

static void *memory_malloc(void *opaque, size_t size) {
  return fits(size) ? counted(malloc(size)) : NULL;
}

static void memory_free(void *opaque, void *memory) {
  if (memory) used -= malloc_usable_size(memory);
  free(memory);
}

static void *memory_realloc(void *opaque, void *memory, size_t size) {
  size_t before = memory ? malloc_usable_size(memory) : 0;
  if (size > before && !fits(size - before)) return NULL;
  void *moved = realloc(memory, size);
  if (!moved) {
    denied |= size > 0;
    return NULL;
  }
  used = used - before + malloc_usable_size(moved);
  return moved;
}

static size_t memory_size(const void *memory) {
  return malloc_usable_size((void *)memory);
}

static const JSMallocFunctions memory = {memory_calloc, memory_malloc, memory_free, memory_realloc, memory_size};

// Why a promise of the script was rejected: nobody would ever see it.
static JSValue rejection = JS_UNDEFINED;

static void on_rejection(JSContext *ctx, JSValueConst promise, JSValueConst reason, bool handled, void *opaque) {
  if (handled || !JS_IsUndefined(rejection)) return;
  rejection = JS_DupValue(ctx, reason);
}

// What a script finds where it would find promises, timers and other code.
static const char *const absent[] = {
  "Promise", "eval", "queueMicrotask", "performance", "FinalizationRegistry", "WeakRef", "SharedArrayBuffer", "navigator",
};

static void evaluate_warm_up(void) {
  // What a script is likely to touch is made lazily; once in the snapshot it costs nothing.
  static const char code[] =
    "(function (o) { 'use strict'; const a = [3, 1, 2].map(x => x * Math.random()).filter(Boolean).sort((x, y) => x - y);"
    "const t = `a-${'B'.toLowerCase().trim()}`.replace(/b+/g, 'c').split('-').join(); const m = new Map([[1, 2]]), s = new Set(a);"
    "try { null.x } catch (e) { o.e = String(e.message) } for (const [k, v] of Object.entries({ ...o, t })) m.set(k, v);"
    "const d = new Date(0); o.d = d.toISOString() + JSON.stringify({ a, n: Number('1.5').toFixed(2), i: parseInt('7') });"
    "class A { x = 1; get y() { return this.x } } const [p, ...q] = a; const { t: z = 1 } = { t, q }; return new A().y + s.size + z;"
    "})({})";
  JSValue value = JS_Eval(context, code, sizeof code - 1, "warm-up", JS_EVAL_TYPE_GLOBAL);
  if (JS_IsException(value)) __builtin_trap();
  JS_FreeValue(context, value);
}

__attribute__((export_name("wizer-initialize"))) void initialize(void) {
  runtime = JS_NewRuntime2(&memory, NULL);
  context = runtime ? JS_NewContext(runtime) : NULL;
  if (!context) __builtin_trap();
  JS_SetGCThreshold(runtime, COLLECT_BYTES);
  JS_SetHostPromiseRejectionTracker(runtime, on_rejection, NULL);
  evaluate_warm_up();
  JSValue global = JS_GetGlobalObject(context), console = JS_NewObject(context);
  JS_SetPropertyFunctionList(context, console, console_functions, countof(console_functions));
  JS_DefinePropertyValueStr(context, global, "console", console, JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE);
  for (size_t i = 0; i < countof(absent); i++) {
    JSAtom name = JS_NewAtom(context, absent[i]);
    JS_DeleteProperty(context, global, name, 0);
    JS_FreeAtom(context, name);
  }
  JS_FreeValue(context, global);
  JS_RunGC(runtime);
}

static void put_result(script_string_t *to, DynBuf *from) {
  to->ptr = from->buf;
  to->len = from->size;
}

static void set_text(script_string_t *to, const char *text, size_t bytes) {
  script_string_dup_n(to, text, bytes);
}

static void fail(exports_moltrun_script_engine_script_error_t *error, int kind, const char *message, size_t bytes) {
  memset(error, 0, sizeof *error);
  error->kind = (exports_moltrun_script_engine_kind_t)kind;
  set_text(&error->name, "", 0);
  set_text(&error->message, message, bytes);
}

// One line of a stack: `    at name (script:3:14)` or `    at script:3:14`. False where it names no place in the script.
static bool read_frame(const char *line, size_t bytes, exports_moltrun_script_engine_frame_t *frame) {
  static const char file[] = "script:";
  const size_t start = 7;
  if (bytes < start) return false;
  size_t end = bytes, from;
  if (line[end - 1] == ')') end--;
  // The last one: a function's name may look like a place.
  for (from = end; from > 0 && line[from - 1] != '(' && line[from - 1] != ' '; from--) {}
  if (end - from <= sizeof file - 1 || memcmp(line + from, file, sizeof file - 1)) return false;
  char place[32];
  size_t length = end - from - (sizeof file - 1);
  if (length >= sizeof place) return false;
  memcpy(place, line + from + sizeof file - 1, length);
  place[length] = 0;
  unsigned row, column;
  // The first line is the one before the code.
  if (sscanf(place, "%u:%u", &row, &column) != 2 || row < 2) return false;
  frame->line = row - 1;
  frame->column = column;
  size_t name = from > start + 2 ? from - 2 - start : 0;
  if (name == 11 && !memcmp(line + start, "<anonymous>", 11)) name = 0;
  set_text(&frame->function, line + start, cut(line + start, name, NAME_BYTES));
  return true;
}

static void read_stack(JSValueConst stack, exports_moltrun_script_engine_list_frame_t *frames) {
  frames->ptr = NULL;
  frames->len = 0;
  if (!JS_IsString(stack)) return;
  size_t bytes;
  const char *text = text_of(context, &bytes, stack);
  if (!text) {
    JS_FreeValue(context, JS_GetException(context));
    return;
  }
  frames->ptr = calloc(FRAMES, sizeof *frames->ptr);
  for (size_t from = 0; frames->ptr && from < bytes && frames->len < FRAMES;) {
    const char *end = memchr(text + from, '\n', bytes - from);
    size_t length = end ? (size_t)(end - text) - from : bytes - from;
    if (read_frame(text + from, length, &frames->ptr[frames->len])) frames->len++;
    from += length + 1;
  }
  JS_FreeCString(context, text);
}

// What is being thrown, as an error that leaves the engine.
static void report(JSValue thrown, int kind, exports_moltrun_script_engine_script_error_t *error) {
  JSValue stack = JS_DupValue(context, context->error_back_trace);
  // Room for the words: the script is over.
  limit = SIZE_MAX;
  runtime->in_out_of_memory = false;
  memset(error, 0, sizeof *error);
  DynBuf message, name;
  dbuf_init(&message);
  dbuf_init(&name);
  if (JS_IsError(thrown)) {
    JS_FreeValue(context, stack);
    stack = JS_DupValue(context, JS_VALUE_GET_OBJ(thrown)->u.object_data);
    JSValue said_name = data_of(context, thrown, JS_ATOM_name), said = data_of(context, thrown, JS_ATOM_message);
    put_string(context, &name, said_name, NAME_BYTES, false);
    if (name.size == 0) dbuf_putstr(&name, "Error");
    put_string(context, &message, said, MESSAGE_BYTES, false);
    JS_FreeValue(context, said_name);
    JS_FreeValue(context, said);
  } else {
    show(context, &message, thrown, NULL, 1);
    message.size = message.buf ? cut((const char *)message.buf, message.size, MESSAGE_BYTES) : 0;
  }
  bool out_of_memory = message.size == 13 && !memcmp(message.buf, "out of memory", 13);
  if (denied && (out_of_memory || !JS_IsError(thrown)) && kind == EXPORTS_MOLTRUN_SCRIPT_ENGINE_KIND_THROWN)
    kind = EXPORTS_MOLTRUN_SCRIPT_ENGINE_KIND_MEMORY;
  error->kind = (exports_moltrun_script_engine_kind_t)kind;
  put_result(&error->name, &name);
  put_result(&error->message, &message);
  read_stack(stack, &error->frames);
}

static void report_exception(int kind, exports_moltrun_script_engine_script_error_t *error) {
  report(JS_GetException(context), kind, error);
}

static const char before[] = "(function(input,event,steps,vars){\n";
static const char after[] = "\n})";

// A `}` too many would end the function early, and what follows would be other code: the function must be all of it.
static bool is_whole(JSValueConst compiled, size_t bytes) {
  JSFunctionBytecode *program = JS_VALUE_GET_PTR(compiled);
  JSFunctionBytecode *function = NULL;
  for (int i = 0; i < program->cpool_count; i++) {
    if (JS_VALUE_GET_TAG(program->cpool[i]) != JS_TAG_FUNCTION_BYTECODE) continue;
    if (function) return false;
    function = JS_VALUE_GET_PTR(program->cpool[i]);
  }
  // Both parentheses are outside.
  return function && function->source_len == (int)bytes - 2;
}

static uint32_t lines_of(const script_string_t *code) {
  uint32_t lines = 1;
  for (size_t i = 0; i < code->len; i++) lines += code->ptr[i] == '\n';
  return lines;
}

// The script's function, compiled but not run; JS_EXCEPTION with `error` filled in.
static JSValue compile(const script_string_t *code, exports_moltrun_script_engine_script_error_t *error) {
  const size_t head = sizeof before - 1, tail = sizeof after - 1;
  size_t bytes = head + code->len + tail;
  char *text = malloc(bytes + 1);
  if (!text) __builtin_trap();
  memcpy(text, before, head);
  memcpy(text + head, code->ptr, code->len);
  memcpy(text + head + code->len, after, tail + 1);
  JSEvalOptions options = {
    .version = JS_EVAL_OPTIONS_VERSION,
    .eval_flags = JS_EVAL_TYPE_GLOBAL | JS_EVAL_FLAG_STRICT | JS_EVAL_FLAG_COMPILE_ONLY,
    .filename = "script",
  };
  JSValue compiled = JS_Eval2(context, text, bytes, &options);
  free(text);
  if (JS_IsException(compiled)) {
    report_exception(EXPORTS_MOLTRUN_SCRIPT_ENGINE_KIND_SYNTAX, error);
    if (error->frames.len > 0 && error->frames.ptr[0].line > lines_of(code)) {
      static const char message[] = "the code ends too early or too late: a `}`, a `)` or a quote is missing, or there is one too many";
      fail(error, EXPORTS_MOLTRUN_SCRIPT_ENGINE_KIND_SYNTAX, message, sizeof message - 1);
    }
  } else if (!is_whole(compiled, bytes)) {
    static const char message[] = "there is a `}` or a `)` too many";
    fail(error, EXPORTS_MOLTRUN_SCRIPT_ENGINE_KIND_SYNTAX, message, sizeof message - 1);
    JS_FreeValue(context, compiled);
    compiled = JS_EXCEPTION;
  }
  return compiled;
}

static void begin(void) {
  JS_UpdateStackTop(runtime);
  // QuickJS sets none on this platform.
  runtime->stack_limit = runtime->stack_top - STACK_BYTES;
  limit = MEMORY_BYTES;
  denied = false;
}

// The parameters, out of the JSON object `scope`. False with an exception.
static bool parameters(script_string_t *scope, JSValue *into) {
  static const char *const names[] = {"input", "event", "steps", "vars"};
  // The parser reads to a zero.
  char *text = realloc(scope->ptr, scope->len + 1);
  if (!text) __builtin_trap();
  text[scope->len] = 0;
  JSValue all = JS_ParseJSON(context, text, scope->len, "scope");
  free(text);
  if (JS_IsException(all)) return false;
  for (int i = 0; i < 4; i++) into[i] = JS_GetPropertyStr(context, all, names[i]);
  JS_FreeValue(context, all);
  return true;
}

// The outcome of a call that returned `value`.
static bool finish(JSValueConst value, uint32_t most, script_string_t *json,
                   exports_moltrun_script_engine_script_error_t *error) {
  Result result = {.ctx = context, .most = most};
  dbuf_init(&result.json);
  dbuf_init(&result.refusal);
  Written written = put_value(&result, value, NULL, 0);
  if (written == WRITTEN && result.json.size > most) written = TOO_LARGE;
  if (written == WRITTEN && dbuf_error(&result.json)) denied = true, written = THREW, JS_ThrowOutOfMemory(context);
  static const char unfinished[] =
    "it left work for later (an `async` function or a promise), which is never done: a script ends when it returns";
  switch (written) {
  case WRITTEN:
    if (!JS_IsUndefined(rejection)) {
      report(JS_DupValue(context, rejection), EXPORTS_MOLTRUN_SCRIPT_ENGINE_KIND_THROWN, error);
      return false;
    }
    if (!list_empty(&runtime->job_list)) {
      fail(error, EXPORTS_MOLTRUN_SCRIPT_ENGINE_KIND_BAD_OUTPUT, unfinished, sizeof unfinished - 1);
      return false;
    }
    put_result(json, &result.json);
    return true;
  case THREW:
    report_exception(EXPORTS_MOLTRUN_SCRIPT_ENGINE_KIND_THROWN, error);
    return false;
  case REFUSED:
    fail(error, EXPORTS_MOLTRUN_SCRIPT_ENGINE_KIND_BAD_OUTPUT, (const char *)result.refusal.buf, result.refusal.size);
    return false;
  case TOO_LARGE: {
    char text[64];
    int bytes = snprintf(text, sizeof text, "the returned value has more than %u bytes as JSON", most);
    fail(error, EXPORTS_MOLTRUN_SCRIPT_ENGINE_KIND_TOO_LARGE, text, (size_t)bytes);
    return false;
  }
  }
  __builtin_trap();
}

// Nothing is freed at the end of a call: the instance is, whole.
bool exports_moltrun_script_engine_run(exports_moltrun_script_engine_call_t *call, script_string_t *json,
                                       exports_moltrun_script_engine_script_error_t *error) {
  begin();
  script_now_ms = call->now_ms;
  context->random_state = call->seed ? call->seed : 1;
  JSValue compiled = compile(&call->code, error);
  if (JS_IsException(compiled)) return false;
  // Code that is made of texts is never run, whatever constructor it is handed to.
  context->eval_internal = NULL;
  JSValue arguments[4];
  JSValue value = JS_EXCEPTION;
  if (parameters(&call->scope, arguments)) {
    JSValue function = JS_EvalFunction(context, compiled);
    if (!JS_IsException(function)) value = JS_Call(context, function, JS_UNDEFINED, 4, (JSValueConst *)arguments);
  }
  bool done = false;
  if (JS_IsException(value)) report_exception(EXPORTS_MOLTRUN_SCRIPT_ENGINE_KIND_THROWN, error);
  else done = finish(value, call->max_output, json, error);
  end_console();
  return done;
}

bool exports_moltrun_script_engine_check(script_string_t *code, exports_moltrun_script_engine_script_error_t *error) {
  begin();
  return !JS_IsException(compile(code, error));
}
