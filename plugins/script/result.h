// The returned value as JSON. Unlike JSON.stringify it is never silent: what JSON cannot hold is an error that says where.
// `undefined` is null; dates and other values with a `toJSON` are what that gives.

// Nesting of a result. What reads it allows 127.
#define DEPTH 100

typedef enum { WRITTEN, THREW, REFUSED, TOO_LARGE } Written;

// Where in the result.
typedef struct At {
  const struct At *above;
  JSValueConst object;
  JSAtom key;     // JS_ATOM_NULL in a list
  int64_t index;
} At;

typedef struct {
  JSContext *ctx;
  DynBuf json;
  DynBuf refusal;
  size_t most;
} Result;

static void put_place(JSContext *ctx, DynBuf *to, const At *at) {
  if (!at || to->size > MESSAGE_BYTES / 2) return;
  put_place(ctx, to, at->above);
  if (at->key == JS_ATOM_NULL) {
    dbuf_printf(to, "[%lld]", (long long)at->index);
    return;
  }
  JSValue key = JS_AtomToString(ctx, at->key);
  size_t bytes;
  const char *text = JS_IsException(key) ? NULL : text_of(ctx, &bytes, key);
  if (text) {
    bool plain = bytes > 0 && bytes <= NAME_BYTES && !(text[0] >= '0' && text[0] <= '9');
    for (size_t i = 0; i < bytes && plain; i++) {
      char c = text[i];
      plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$';
    }
    dbuf_putstr(to, plain ? "." : "[");
    if (plain) dbuf_put(to, text, bytes);
    else put_quoted(to, text, cut(text, bytes, NAME_BYTES)), dbuf_putc(to, ']');
    JS_FreeCString(ctx, text);
  }
  JS_FreeValue(ctx, key);
}

static Written refuse(Result *r, const At *at, const char *what) {
  dbuf_putstr(&r->refusal, "the returned value");
  if (at) {
    dbuf_putstr(&r->refusal, " at `");
    size_t before = r->refusal.size;
    put_place(r->ctx, &r->refusal, at);
    // An index comes first in a list, a name without its dot.
    if (r->refusal.size > before && r->refusal.buf[before] == '.') {
      memmove(r->refusal.buf + before, r->refusal.buf + before + 1, r->refusal.size - before - 1);
      r->refusal.size--;
    }
    dbuf_putc(&r->refusal, '`');
  }
  dbuf_printf(&r->refusal, " %s", what);
  return REFUSED;
}

static Written put_value(Result *r, JSValueConst value, const At *at, int depth);

static Written put_key(Result *r, JSAtom key) {
  JSValue name = JS_AtomToString(r->ctx, key);
  if (JS_IsException(name)) return THREW;
  size_t bytes;
  const char *text = text_of(r->ctx, &bytes, name);
  JS_FreeValue(r->ctx, name);
  if (!text) return THREW;
  put_quoted(&r->json, text, bytes);
  dbuf_putc(&r->json, ':');
  JS_FreeCString(r->ctx, text);
  return WRITTEN;
}

static Written put_list(Result *r, JSValueConst list, const At *above, int depth) {
  int64_t length;
  if (JS_GetLength(r->ctx, list, &length) < 0) return THREW;
  At at = {above, list, JS_ATOM_NULL, 0};
  dbuf_putc(&r->json, '[');
  for (; at.index < length; at.index++) {
    if (at.index > 0) dbuf_putc(&r->json, ',');
    JSValue item = JS_GetPropertyInt64(r->ctx, list, at.index);
    if (JS_IsException(item)) return THREW;
    Written written = put_value(r, item, &at, depth + 1);
    JS_FreeValue(r->ctx, item);
    if (written != WRITTEN) return written;
  }
  dbuf_putc(&r->json, ']');
  return WRITTEN;
}

static Written put_object(Result *r, JSValueConst object, const At *above, int depth) {
  JSPropertyEnum *names;
  uint32_t count;
  if (JS_GetOwnPropertyNames(r->ctx, &names, &count, object, JS_GPN_STRING_MASK | JS_GPN_ENUM_ONLY) < 0) return THREW;
  Written written = WRITTEN;
  dbuf_putc(&r->json, '{');
  for (uint32_t i = 0; i < count && written == WRITTEN; i++) {
    At at = {above, object, names[i].atom, 0};
    if (i > 0) dbuf_putc(&r->json, ',');
    written = put_key(r, at.key);
    if (written != WRITTEN) break;
    JSValue value = JS_GetProperty(r->ctx, object, at.key);
    if (JS_IsException(value)) {
      written = THREW;
      break;
    }
    written = put_value(r, value, &at, depth + 1);
    JS_FreeValue(r->ctx, value);
  }
  JS_FreePropertyEnum(r->ctx, names, count);
  dbuf_putc(&r->json, '}');
  return written;
}

static Written put_number(Result *r, JSValueConst number, const At *at) {
  double value;
  if (JS_ToFloat64(r->ctx, &value, number) < 0) return THREW;
  if (isnan(value)) return refuse(r, at, "is NaN, which JSON cannot hold");
  if (isinf(value)) return refuse(r, at, "is infinite, which JSON cannot hold");
  if (value == 0) {
    dbuf_putc(&r->json, '0');
    return WRITTEN;
  }
  JSValue text = JS_ToString(r->ctx, number);
  if (JS_IsException(text)) return THREW;
  put_string(r->ctx, &r->json, text, NAME_BYTES, false);
  JS_FreeValue(r->ctx, text);
  return WRITTEN;
}

static Written put_text(Result *r, JSValueConst string) {
  size_t bytes;
  const char *text = text_of(r->ctx, &bytes, string);
  if (!text) return THREW;
  bool fits = bytes <= r->most;
  if (fits) put_quoted(&r->json, text, bytes);
  JS_FreeCString(r->ctx, text);
  return fits ? WRITTEN : TOO_LARGE;
}

// An object as itself, without its `toJSON`.
static Written put_plain(Result *r, JSValueConst value, const At *at, int depth) {
  JSContext *ctx = r->ctx;
  if (JS_IsFunction(ctx, value)) return refuse(r, at, "is a function; call it or leave it out");
  for (const At *around = at; around; around = around->above) {
    if (JS_VALUE_GET_PTR(around->object) == JS_VALUE_GET_PTR(value)) return refuse(r, at, "contains itself");
  }
  if (depth >= DEPTH) return refuse(r, at, "nests deeper than 100 levels");
  JSObject *object = JS_VALUE_GET_OBJ(value);
  switch (object->class_id) {
  case JS_CLASS_NUMBER: return put_number(r, object->u.object_data, at);
  case JS_CLASS_STRING: return put_text(r, object->u.object_data);
  case JS_CLASS_BOOLEAN: return put_value(r, object->u.object_data, at, depth);
  case JS_CLASS_OBJECT:
  case JS_CLASS_ARRAY:
  case JS_CLASS_PROXY:
  case JS_CLASS_ARGUMENTS:
  case JS_CLASS_MAPPED_ARGUMENTS: {
    // A proxy of a list is one.
    int is_list = js_is_array(ctx, value);
    if (is_list < 0) return THREW;
    return is_list ? put_list(r, value, at, depth) : put_object(r, value, at, depth);
  }
  case JS_CLASS_PROMISE: return refuse(r, at, "is a promise; a script has nothing to wait for, so do without `async`");
  case JS_CLASS_MAP: return refuse(r, at, "is a Map; return Object.fromEntries(…) of it");
  case JS_CLASS_SET: return refuse(r, at, "is a Set; return Array.from(…) of it");
  case JS_CLASS_ERROR: return refuse(r, at, "is an Error; throw it, or return its message");
  case JS_CLASS_REGEXP: return refuse(r, at, "is a RegExp; return its source");
  default: {
    JSAtom name = JS_GetClassName(JS_GetRuntime(ctx), object->class_id);
    const char *text = JS_AtomToCString(ctx, name);
    char what[NAME_BYTES + 64];
    snprintf(what, sizeof what, "is of class %.*s, which JSON cannot hold", NAME_BYTES, text ? text : "?");
    JS_FreeCString(ctx, text);
    JS_FreeAtom(ctx, name);
    return refuse(r, at, what);
  }
  }
}

// What `toJSON` makes of `value`; `value` itself where there is none.
static JSValue to_json(JSContext *ctx, JSValueConst value, const At *at) {
  JSValue method = JS_GetPropertyStr(ctx, value, "toJSON");
  if (JS_IsException(method)) return method;
  if (!JS_IsFunction(ctx, method)) {
    JS_FreeValue(ctx, method);
    return JS_DupValue(ctx, value);
  }
  JSValue key = !at ? JS_NewString(ctx, "")
                : at->key == JS_ATOM_NULL ? JS_NewInt64(ctx, at->index)
                                          : JS_AtomToString(ctx, at->key);
  JSValue given = JS_IsException(key) ? key : JS_Call(ctx, method, value, 1, (JSValueConst *)&key);
  JS_FreeValue(ctx, key);
  JS_FreeValue(ctx, method);
  return given;
}

static Written put_value(Result *r, JSValueConst value, const At *at, int depth) {
  if (r->json.size > r->most) return TOO_LARGE;
  if (JS_IsUndefined(value) || JS_IsNull(value)) return dbuf_putstr(&r->json, "null"), WRITTEN;
  if (JS_IsBool(value)) return dbuf_putstr(&r->json, JS_VALUE_GET_BOOL(value) ? "true" : "false"), WRITTEN;
  if (JS_IsNumber(value)) return put_number(r, value, at);
  if (JS_IsString(value)) return put_text(r, value);
  if (JS_IsBigInt(value)) return refuse(r, at, "is a BigInt; return Number(…) or String(…) of it");
  if (JS_IsSymbol(value)) return refuse(r, at, "is a symbol, which JSON cannot hold");
  if (!JS_IsObject(value)) return refuse(r, at, "is nothing that JSON can hold");
  if (JS_IsDate(value)) {
    double time;
    if (JS_ToFloat64(r->ctx, &time, JS_VALUE_GET_OBJ(value)->u.object_data) < 0) return THREW;
    if (isnan(time)) return refuse(r, at, "is an invalid Date");
  }
  JSValue given = to_json(r->ctx, value, at);
  if (JS_IsException(given)) return THREW;
  Written written = JS_IsObject(given) ? put_plain(r, given, at, depth) : put_value(r, given, at, depth);
  JS_FreeValue(r->ctx, given);
  return written;
}
