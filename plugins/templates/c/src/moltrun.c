// JSON and results; runs anywhere. What is read was checked by the host, so it is valid JSON.
#include "moltrun.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static void *room(size_t size) {
    void *at = malloc(size);
    if (!at) abort();
    return at;
}

static const char *skip_space(const char *at, const char *end) {
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) at++;
    return at;
}

static const char *skip_string(const char *at, const char *end) {
    for (at++; at < end && *at != '"'; at++)
        if (*at == '\\') at++;
    return at < end ? at + 1 : end;
}

// Behind the value at `at`.
static const char *skip_value(const char *at, const char *end) {
    if (at < end && *at == '"') return skip_string(at, end);
    size_t depth = 0;
    while (at < end) {
        if (*at == '"') {
            at = skip_string(at, end);
            continue;
        }
        if (*at == '{' || *at == '[') depth++;
        if (*at == '}' || *at == ']') {
            if (depth == 0) return at;
            if (--depth == 0) return at + 1;
        }
        if (depth == 0 && (*at == ',' || *at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) return at;
        at++;
    }
    return at;
}

// The next value of an object or a list, from *at on; for an object with its name.
static bool next(mr_json of, const char **at, mr_json *name, mr_json *value) {
    const char *end = of.at + of.length, *p = skip_space(*at, end);
    if (p < end && *p == ',') p = skip_space(p + 1, end);
    if (p >= end || *p == '}' || *p == ']') return false;
    if (name) {
        const char *from = p;
        p = skip_string(p, end);
        *name = (mr_json){ from, (size_t)(p - from) };
        p = skip_space(p, end);
        if (p >= end || *p != ':') return false;
        p = skip_space(p + 1, end);
    }
    const char *from = p;
    p = skip_value(p, end);
    *value = (mr_json){ from, (size_t)(p - from) };
    *at = p;
    return true;
}

static const char *inside(mr_json value, char open) {
    return value.at && value.length && *value.at == open ? value.at + 1 : NULL;
}

mr_json mr_member(mr_json object, const char *name) {
    mr_json found = { NULL, 0 }, key, value;
    const char *at = inside(object, '{');
    while (at && next(object, &at, &key, &value))
        if (strcmp(mr_as_string(key), name) == 0) found = value;
    return found;
}

mr_json mr_element(mr_json list, size_t index) {
    mr_json value;
    const char *at = inside(list, '[');
    while (at && next(list, &at, NULL, &value))
        if (index-- == 0) return value;
    return (mr_json){ NULL, 0 };
}

size_t mr_length(mr_json list) {
    mr_json value;
    size_t count = 0;
    const char *at = inside(list, '[');
    while (at && next(list, &at, NULL, &value)) count++;
    return count;
}

static uint32_t hex4(const char *at) {
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        value = value * 16 + (uint32_t)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
    }
    return value;
}

static char *put_utf8(char *to, uint32_t c) {
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
        *to++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    } else {
        *to++ = (char)(0xf0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 0x3f));
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    }
    return to;
}

char *mr_as_string(mr_json value) {
    // An escape is never shorter than what it stands for.
    char *text = room(value.length + 1), *to = text;
    const char *at = inside(value, '"'), *end = value.at + value.length - 1;
    while (at && at < end) {
        if (*at != '\\') {
            *to++ = *at++;
            continue;
        }
        if (end - at < 2) break;
        char c = at[1];
        at += 2;
        if (c == 'u') {
            if (end - at < 4) break;
            uint32_t code = hex4(at);
            at += 4;
            bool pair = code >= 0xd800 && code < 0xdc00 && end - at >= 6 && at[0] == '\\' && at[1] == 'u';
            if (pair) {
                code = 0x10000 + ((code & 0x3ff) << 10) + (hex4(at + 2) & 0x3ff);
                at += 6;
            }
            to = put_utf8(to, code >= 0xd800 && code < 0xe000 ? 0xfffd : code);
            continue;
        }
        *to++ = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c == 'b' ? '\b' : c == 'f' ? '\f' : c;
    }
    *to = '\0';
    return text;
}

double mr_as_number(mr_json value) {
    if (!value.at || !value.length || (*value.at != '-' && (*value.at < '0' || *value.at > '9'))) return 0;
    char *text = room(value.length + 1);
    memcpy(text, value.at, value.length);
    text[value.length] = '\0';
    return strtod(text, NULL);
}

bool mr_as_bool(mr_json value) { return value.at && value.length == 4 && memcmp(value.at, "true", 4) == 0; }

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

char *mr_trim(char *text) {
    while (is_space(*text)) text++;
    size_t length = strlen(text);
    while (length && is_space(text[length - 1])) length--;
    text[length] = '\0';
    return text;
}

static void put(mr_text *text, const char *what, size_t length) {
    if (text->length + length + 1 > text->room) {
        text->room = (text->length + length + 1) * 2;
        text->at = realloc(text->at, text->room);
        if (!text->at) abort();
    }
    memcpy(text->at + text->length, what, length);
    text->length += length;
    text->at[text->length] = '\0';
}

char *mr_concat(const char *first, ...) {
    mr_text all = { 0 };
    va_list rest;
    va_start(rest, first);
    for (const char *next = first; next; next = va_arg(rest, const char *)) put(&all, next, strlen(next));
    va_end(rest);
    return all.at ? all.at : room(1);
}

static void put_string(mr_text *text, const char *value) {
    static const char digits[] = "0123456789abcdef";
    put(text, "\"", 1);
    for (; *value; value++) {
        unsigned char c = (unsigned char)*value;
        char escape[6] = { '\\', 'u', '0', '0', digits[c >> 4], digits[c & 15] };
        if (c == '"' || c == '\\') put(text, "\\", 1);
        if (c < 0x20) put(text, escape, 6);
        else put(text, value, 1);
    }
    put(text, "\"", 1);
}

static void put_name(mr_text *object, const char *name) {
    if (object->length > 1) put(object, ",", 1);
    put_string(object, name);
    put(object, ":", 1);
}

mr_text mr_object(void) {
    mr_text object = { 0 };
    put(&object, "{", 1);
    return object;
}

void mr_add_json(mr_text *object, const char *name, const char *value) {
    put_name(object, name);
    put(object, value, strlen(value));
}

void mr_add_string(mr_text *object, const char *name, const char *value) {
    put_name(object, name);
    put_string(object, value);
}

void mr_add_integer(mr_text *object, const char *name, int64_t value) {
    char digits[24], *at = digits + sizeof digits - 1;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    *at = '\0';
    do *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0) *--at = '-';
    mr_add_json(object, name, at);
}

void mr_add_bool(mr_text *object, const char *name, bool value) { mr_add_json(object, name, value ? "true" : "false"); }

char *mr_close(mr_text object) {
    put(&object, "}", 1);
    return object.at;
}

mr_result mr_leave(const char *port, mr_text object) { return (mr_result){ .data = mr_close(object), .port = port }; }

mr_result mr_ok(mr_text object) { return mr_leave(NULL, object); }

mr_result mr_fail(const char *code, const char *message) {
    return (mr_result){ .code = code, .message = message, .kind = MR_PERMANENT };
}

#ifndef __wasm__
// Outside of a plugin, as in tests, nobody reads lines and there is no attempt.
void mr_log(mr_level level, const char *message) { (void)level, (void)message; }
const char *mr_run_id(void) { return ""; }
const char *mr_idempotency_key(void) { return ""; }
uint32_t mr_attempt(void) { return 1; }
uint64_t mr_now_ms(void) { return 0; }
#endif
