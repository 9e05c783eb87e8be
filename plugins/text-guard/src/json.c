#include "json.h"

#include <stdint.h>
#include <string.h>

#define DEPTH 32

struct reader {
    struct arena *arena;
    const unsigned char *at;
    const unsigned char *end;
    const char *error;
};

static struct json *value(struct reader *reader, int depth);

static struct json *failed(struct reader *reader, const char *error)
{
    if (reader->error == NULL)
        reader->error = error;
    return NULL;
}

static void skip_space(struct reader *reader)
{
    while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\t' || *reader->at == '\n' || *reader->at == '\r'))
        reader->at++;
}

/* The next byte, or -1 at the end. */
static int peek(const struct reader *reader)
{
    return reader->at < reader->end ? *reader->at : -1;
}

static bool take(struct reader *reader, int byte)
{
    if (peek(reader) != byte)
        return false;
    reader->at++;
    return true;
}

/* The four hexadecimal digits of an escape, or -1. */
static int32_t unit(struct reader *reader)
{
    if (reader->end - reader->at < 4)
        return -1;
    int32_t unit = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = *reader->at++;
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (digit < 0)
            return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

/* The character of an escape `\u`, with the second half of a pair if there is one; -1 if it is none. */
static int32_t escaped(struct reader *reader)
{
    int32_t first = unit(reader);
    if (first < 0xd800 || first > 0xdfff)
        return first;
    const unsigned char *behind = reader->at;
    if (first < 0xdc00 && take(reader, '\\') && take(reader, 'u')) {
        int32_t second = unit(reader);
        if (second < 0)
            return -1;
        if (second >= 0xdc00 && second <= 0xdfff)
            return 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
    }
    reader->at = behind;
    return 0xfffd;
}

static size_t encode(int32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 63));
        out[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 63));
    out[2] = (char)(0x80 | (c >> 6 & 63));
    out[3] = (char)(0x80 | (c & 63));
    return 4;
}

static bool string(struct reader *reader, struct text *text)
{
    if (!take(reader, '"'))
        return failed(reader, "a string is expected"), false;
    const unsigned char *close = reader->at;
    while (close < reader->end && *close != '"')
        close += *close == '\\' && reader->end - close > 1 ? 2 : 1;
    if (close >= reader->end)
        return failed(reader, "a string has no end"), false;
    /* An escape is never shorter than what it stands for. */
    char *bytes = arena_take(reader->arena, (size_t)(close - reader->at) + 1);
    size_t length = 0;
    while (reader->at < close) {
        unsigned char c = *reader->at++;
        if (c < 0x20)
            return failed(reader, "a string holds a control character"), false;
        if (c != '\\') {
            bytes[length++] = (char)c;
            continue;
        }
        static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
        c = *reader->at++;
        const char *name = memchr(names, c, sizeof names - 1);
        if (name != NULL) {
            bytes[length++] = meant[name - names];
            continue;
        }
        int32_t character = c == 'u' ? escaped(reader) : -1;
        if (character < 0 || reader->at > close)
            return failed(reader, "a string holds an unknown escape"), false;
        length += encode(character, bytes + length);
    }
    reader->at = close + 1;
    *text = (struct text){bytes, length};
    return true;
}

static struct json *make(struct reader *reader, enum json_kind kind)
{
    struct json *json = arena_take(reader->arena, sizeof *json);
    json->kind = kind;
    return json;
}

static struct json *word(struct reader *reader, const char *word, enum json_kind kind)
{
    size_t length = strlen(word);
    if ((size_t)(reader->end - reader->at) < length || memcmp(reader->at, word, length) != 0)
        return failed(reader, "a value is expected");
    reader->at += length;
    return make(reader, kind);
}

static struct json *number(struct reader *reader)
{
    const unsigned char *begin = reader->at;
    while (reader->at < reader->end && *reader->at != 0 && strchr("+-.0123456789eE", *reader->at) != NULL)
        reader->at++;
    struct json *json = make(reader, JSON_NUMBER);
    json->text = (struct text){(const char *)begin, (size_t)(reader->at - begin)};
    return json;
}

/* What is inside of an array or an object, up to its closing bracket. */
static struct json *inside(struct reader *reader, enum json_kind kind, int depth)
{
    struct json *json = make(reader, kind);
    struct json **next = &json->first;
    int close = kind == JSON_ARRAY ? ']' : '}';
    reader->at++;
    skip_space(reader);
    if (take(reader, close))
        return json;
    for (;;) {
        struct text key = {"", 0};
        skip_space(reader);
        if (kind == JSON_OBJECT) {
            if (!string(reader, &key))
                return NULL;
            skip_space(reader);
            if (!take(reader, ':'))
                return failed(reader, "a colon is expected");
        }
        struct json *one = value(reader, depth + 1);
        if (one == NULL)
            return NULL;
        one->key = key;
        *next = one;
        next = &one->next;
        skip_space(reader);
        if (take(reader, close))
            return json;
        if (!take(reader, ','))
            return failed(reader, "a comma or a closing bracket is expected");
    }
}

static struct json *value(struct reader *reader, int depth)
{
    if (depth > DEPTH)
        return failed(reader, "values nest too deep");
    skip_space(reader);
    int c = peek(reader);
    if (c == '{')
        return inside(reader, JSON_OBJECT, depth);
    if (c == '[')
        return inside(reader, JSON_ARRAY, depth);
    if (c == '"') {
        struct json *json = make(reader, JSON_STRING);
        return string(reader, &json->text) ? json : NULL;
    }
    if (c == '-' || (c >= '0' && c <= '9'))
        return number(reader);
    if (c == 't')
        return word(reader, "true", JSON_TRUE);
    if (c == 'f')
        return word(reader, "false", JSON_FALSE);
    return word(reader, "null", JSON_NULL);
}

struct json *json_read(struct arena *arena, struct text input, const char **error)
{
    const unsigned char *begin = (const unsigned char *)input.bytes;
    struct reader reader = {arena, begin, begin + input.length, NULL};
    struct json *json = value(&reader, 0);
    skip_space(&reader);
    if (json != NULL && reader.at != reader.end)
        json = failed(&reader, "there is more behind the value");
    *error = reader.error;
    return json;
}

const struct json *json_get(const struct json *object, const char *key)
{
    const struct json *found = NULL;
    for (const struct json *one = object->first; one != NULL; one = one->next)
        if (text_is(one->key, key))
            found = one;
    return found;
}

void write_bytes(struct writer *writer, const char *bytes, size_t length)
{
    if (writer->room - writer->length < length) {
        size_t room = writer->room * 2 + length + 64;
        writer->bytes = arena_grow(writer->arena, writer->bytes, writer->length, room);
        writer->room = room;
    }
    if (length > 0)
        memcpy(writer->bytes + writer->length, bytes, length);
    writer->length += length;
}

void write_text(struct writer *writer, const char *text)
{
    write_bytes(writer, text, strlen(text));
}

void write_number(struct writer *writer, size_t number)
{
    char digits[24];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    write_bytes(writer, digits + at, sizeof digits - at);
}

void write_string(struct writer *writer, struct text text)
{
    write_bytes(writer, "\"", 1);
    size_t plain = 0;
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.bytes[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        static const char digits[] = "0123456789abcdef";
        char escape[] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};
        size_t length = sizeof escape;
        /* A line of quotes must not become six times as long as the text was: there is a most that an output may have. */
        char brief = c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : c == '"' || c == '\\' ? (char)c : 0;
        if (brief != 0) {
            escape[1] = brief;
            length = 2;
        }
        write_bytes(writer, text.bytes + plain, i - plain);
        write_bytes(writer, escape, length);
        plain = i + 1;
    }
    write_bytes(writer, text.bytes + plain, text.length - plain);
    write_bytes(writer, "\"", 1);
}

bool text_is(struct text text, const char *other)
{
    return text.length == strlen(other) && memcmp(text.bytes, other, text.length) == 0;
}

struct text text_of(const char *text)
{
    return (struct text){text, strlen(text)};
}
