// Text that leaves the engine: always UTF-8, always bounded.

// Bytes of one line of the console, of an error's message, of a function's name in a stack.
#define LINE_BYTES 4096
#define MESSAGE_BYTES 2048
#define NAME_BYTES 64

// A half of a surrogate pair, which no UTF-8 has and QuickJS writes in three bytes, becomes U+FFFD, which has three.
static void make_utf8(char *text, size_t bytes) {
  for (size_t i = 0; i + 2 < bytes; i++) {
    if ((uint8_t)text[i] == 0xED && (uint8_t)text[i + 1] >= 0xA0) {
      text[i] = (char)0xEF, text[i + 1] = (char)0xBF, text[i + 2] = (char)0xBD;
    }
  }
}

// How much of a text of more than `most` bytes is kept, so that no character is cut.
static size_t cut(const char *text, size_t bytes, size_t most) {
  if (bytes <= most) return bytes;
  while (most > 0 && ((uint8_t)text[most] & 0xC0) == 0x80) most--;
  return most;
}

// Adds `text` as a JSON string.
static void put_quoted(DynBuf *to, const char *text, size_t bytes) {
  dbuf_putc(to, '"');
  size_t from = 0;
  for (size_t i = 0; i < bytes; i++) {
    uint8_t c = (uint8_t)text[i];
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    dbuf_put(to, text + from, i - from);
    from = i + 1;
    switch (c) {
    case '"': dbuf_putstr(to, "\\\""); break;
    case '\\': dbuf_putstr(to, "\\\\"); break;
    case '\n': dbuf_putstr(to, "\\n"); break;
    case '\r': dbuf_putstr(to, "\\r"); break;
    case '\t': dbuf_putstr(to, "\\t"); break;
    default: dbuf_printf(to, "\\u%04x", c);
    }
  }
  dbuf_put(to, text + from, bytes - from);
  dbuf_putc(to, '"');
}

// The text of a string value as UTF-8, to be freed with JS_FreeCString; NULL with an exception.
static const char *text_of(JSContext *ctx, size_t *bytes, JSValueConst string) {
  const char *text = JS_ToCStringLen(ctx, bytes, string);
  if (text) make_utf8((char *)text, *bytes);
  return text;
}

// Adds at most `most` bytes of a string value. Other values and failures add nothing.
static void put_string(JSContext *ctx, DynBuf *to, JSValueConst value, size_t most, bool quoted) {
  if (!JS_IsString(value)) return;
  size_t bytes;
  const char *text = text_of(ctx, &bytes, value);
  if (!text) {
    JS_FreeValue(ctx, JS_GetException(ctx));
    return;
  }
  size_t kept = cut(text, bytes, most);
  if (quoted) put_quoted(to, text, kept);
  else dbuf_put(to, text, kept);
  if (kept < bytes) dbuf_putstr(to, "…");
  JS_FreeCString(ctx, text);
}
