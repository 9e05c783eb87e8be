// `console`: every argument as text, a space between, one line a call. Objects are shown as JSON of what they hold; nothing
// of the script runs to show them, so that a line never fails.

// Lines of one run that leave the engine; the rest is counted.
#define LINES 200

static uint32_t lines;

// Items of a list or object that are shown.
#define SHOWN_ITEMS 100
#define SHOWN_DEPTH 6

typedef struct Around {
  const struct Around *above;
  JSValueConst object;
} Around;

static void show(JSContext *ctx, DynBuf *to, JSValueConst value, const Around *above, int depth);

static void show_member(JSContext *ctx, DynBuf *to, JSValueConst object, JSAtom key, const Around *around, int depth) {
  JSPropertyDescriptor found;
  int has = JS_GetOwnProperty(ctx, &found, object, key);
  if (has < 0) JS_FreeValue(ctx, JS_GetException(ctx));
  if (has <= 0) {
    dbuf_putstr(to, "null");
    return;
  }
  if (found.flags & JS_PROP_GETSET) dbuf_putstr(to, "[getter]");
  else show(ctx, to, found.value, around, depth + 1);
  JS_FreeValue(ctx, found.value);
  JS_FreeValue(ctx, found.getter);
  JS_FreeValue(ctx, found.setter);
}

static void show_list(JSContext *ctx, DynBuf *to, JSValueConst list, const Around *around, int depth) {
  int64_t length = 0;
  if (JS_GetLength(ctx, list, &length) < 0) JS_FreeValue(ctx, JS_GetException(ctx));
  dbuf_putc(to, '[');
  for (int64_t i = 0; i < length && to->size < LINE_BYTES; i++) {
    if (i > 0) dbuf_putc(to, ',');
    if (i == SHOWN_ITEMS) {
      dbuf_printf(to, "… %lld more", (long long)(length - i));
      break;
    }
    JSAtom key = JS_NewAtomUInt32(ctx, (uint32_t)i);
    show_member(ctx, to, list, key, around, depth);
    JS_FreeAtom(ctx, key);
  }
  dbuf_putc(to, ']');
}

static void show_object(JSContext *ctx, DynBuf *to, JSValueConst object, const Around *around, int depth) {
  JSPropertyEnum *names;
  uint32_t count;
  if (JS_GetOwnPropertyNames(ctx, &names, &count, object, JS_GPN_STRING_MASK | JS_GPN_ENUM_ONLY) < 0) {
    JS_FreeValue(ctx, JS_GetException(ctx));
    dbuf_putstr(to, "{}");
    return;
  }
  dbuf_putc(to, '{');
  for (uint32_t i = 0; i < count && to->size < LINE_BYTES; i++) {
    if (i > 0) dbuf_putc(to, ',');
    if (i == SHOWN_ITEMS) {
      dbuf_printf(to, "… %u more", count - i);
      break;
    }
    JSValue key = JS_AtomToString(ctx, names[i].atom);
    put_string(ctx, to, key, LINE_BYTES, true);
    JS_FreeValue(ctx, key);
    dbuf_putc(to, ':');
    show_member(ctx, to, object, names[i].atom, around, depth);
  }
  JS_FreePropertyEnum(ctx, names, count);
  dbuf_putc(to, '}');
}

// An own or inherited text of an error, if it is plain data.
static JSValue data_of(JSContext *ctx, JSValueConst object, JSAtom key) {
  JSValue at = JS_DupValue(ctx, object);
  // Prototypes do not recur, but may be many.
  for (int steps = 0; steps < 16 && JS_IsObject(at) && !JS_IsProxy(at); steps++) {
    JSPropertyDescriptor found;
    int has = JS_GetOwnProperty(ctx, &found, at, key);
    if (has < 0) JS_FreeValue(ctx, JS_GetException(ctx));
    if (has > 0) {
      JS_FreeValue(ctx, found.getter);
      JS_FreeValue(ctx, found.setter);
      JS_FreeValue(ctx, at);
      if (!(found.flags & JS_PROP_GETSET) && JS_IsString(found.value)) return found.value;
      JS_FreeValue(ctx, found.value);
      return JS_UNDEFINED;
    }
    JSValue above = JS_GetPrototype(ctx, at);
    JS_FreeValue(ctx, at);
    at = above;
  }
  JS_FreeValue(ctx, at);
  return JS_UNDEFINED;
}

static void show_error(JSContext *ctx, DynBuf *to, JSValueConst error) {
  JSValue name = data_of(ctx, error, JS_ATOM_name), message = data_of(ctx, error, JS_ATOM_message);
  if (JS_IsString(name)) put_string(ctx, to, name, NAME_BYTES, false);
  else dbuf_putstr(to, "Error");
  if (JS_IsString(message)) {
    dbuf_putstr(to, ": ");
    put_string(ctx, to, message, MESSAGE_BYTES, false);
  }
  JS_FreeValue(ctx, name);
  JS_FreeValue(ctx, message);
}

// Adds `value`; a text within something else in quotes.
static void show(JSContext *ctx, DynBuf *to, JSValueConst value, const Around *above, int depth) {
  if (JS_IsString(value)) {
    put_string(ctx, to, value, LINE_BYTES, depth > 0);
    return;
  }
  if (!JS_IsObject(value)) {
    JSValue text = JS_IsSymbol(value) ? JS_NewString(ctx, "[symbol]") : JS_ToString(ctx, value);
    if (JS_IsException(text)) JS_FreeValue(ctx, JS_GetException(ctx));
    put_string(ctx, to, text, LINE_BYTES, false);
    JS_FreeValue(ctx, text);
    return;
  }
  for (const Around *around = above; around; around = around->above) {
    if (JS_VALUE_GET_PTR(around->object) == JS_VALUE_GET_PTR(value)) {
      dbuf_putstr(to, "[circular]");
      return;
    }
  }
  Around around = {above, value};
  if (JS_IsProxy(value)) dbuf_putstr(to, "[proxy]");
  else if (JS_IsFunction(ctx, value)) dbuf_putstr(to, "[function]");
  else if (JS_IsError(value)) show_error(ctx, to, value);
  else if (JS_IsDate(value)) {
    // Its own method, whatever the script made of the prototype.
    JSValue text = get_date_string(ctx, value, 0, NULL, 0x23);
    if (JS_IsException(text)) JS_FreeValue(ctx, JS_GetException(ctx));
    put_string(ctx, to, text, NAME_BYTES, depth > 0);
    JS_FreeValue(ctx, text);
  } else if (depth >= SHOWN_DEPTH) dbuf_putstr(to, "[…]");
  else if (JS_IsArray(value)) show_list(ctx, to, value, &around, depth);
  else show_object(ctx, to, value, &around, depth);
}

static void write_line(int level, const char *text, size_t bytes) {
  script_string_t line = {(uint8_t *)text, bytes};
  moltrun_script_log_write((moltrun_script_log_level_t)level, &line);
}

static JSValue console_write(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv, int level) {
  if (lines < UINT32_MAX) lines++;
  if (lines > LINES) return JS_UNDEFINED;
  DynBuf line;
  dbuf_init(&line);
  for (int i = 0; i < argc && line.size < LINE_BYTES; i++) {
    if (i > 0) dbuf_putc(&line, ' ');
    show(ctx, &line, argv[i], NULL, 0);
  }
  // All that is shown is shown: a line that memory has no room for is cut, not an error.
  write_line(level, (const char *)line.buf, line.buf ? cut((const char *)line.buf, line.size, LINE_BYTES) : 0);
  dbuf_free(&line);
  return JS_UNDEFINED;
}

// Says how many lines there were besides.
static void end_console(void) {
  if (lines <= LINES) return;
  char text[64];
  int bytes = snprintf(text, sizeof text, "(%u more lines are left out)", lines - LINES);
  write_line(MOLTRUN_SCRIPT_LOG_LEVEL_WARN, text, (size_t)bytes);
}

static const JSCFunctionListEntry console_functions[] = {
  JS_CFUNC_MAGIC_DEF("log", 0, console_write, MOLTRUN_SCRIPT_LOG_LEVEL_INFO),
  JS_CFUNC_MAGIC_DEF("info", 0, console_write, MOLTRUN_SCRIPT_LOG_LEVEL_INFO),
  JS_CFUNC_MAGIC_DEF("debug", 0, console_write, MOLTRUN_SCRIPT_LOG_LEVEL_DEBUG),
  JS_CFUNC_MAGIC_DEF("warn", 0, console_write, MOLTRUN_SCRIPT_LOG_LEVEL_WARN),
  JS_CFUNC_MAGIC_DEF("error", 0, console_write, MOLTRUN_SCRIPT_LOG_LEVEL_ERROR),
};
