#include "guard.h"

#include <string.h>

#include "scan.h"

/* Findings that are shown; the rest is counted. */
#define SHOWN 200

/* Entries of the allow list. */
#define ALLOWED 200

#define KINDS_SCHEMA \
    "{\"type\":\"array\",\"uniqueItems\":true,\"items\":{\"enum\":[\"email\",\"phone\",\"card\",\"iban\",\"ip\",\"secret\"," \
    "\"national_id\"]},\"description\":\"What is looked for; without it everything but national_id.\"}"

#define INPUT_SCHEMA \
    "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"text\"],\"properties\":{" \
    "\"text\":{\"type\":\"string\",\"description\":\"What is looked through.\"}," \
    "\"kinds\":" KINDS_SCHEMA "," \
    "\"allow\":{\"type\":\"array\",\"maxItems\":200,\"items\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":200}," \
    "\"description\":\"What is no finding: a value as a whole in any case (a number in any spelling), or @example.com for " \
    "all addresses of a domain.\"}}}"

#define COUNTS_SCHEMA \
    "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"},\"description\":\"How many of each kind.\"}"

#define FINDING_SCHEMA \
    "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"kind\",\"what\",\"start\",\"end\",\"sample\"]," \
    "\"properties\":{\"kind\":{\"type\":\"string\"},\"what\":{\"type\":\"string\",\"description\":\"More exactly, such as " \
    "github_token.\"},\"start\":{\"type\":\"integer\",\"description\":\"Its first character, counted from 0.\"},\"end\":{" \
    "\"type\":\"integer\",\"description\":\"The character behind it.\"},\"sample\":{\"type\":\"string\",\"description\":" \
    "\"The finding, masked.\"}}}"

const struct step steps[STEPS] = {
    {
        "check",
        "looks for personal data and secrets in a text; port `flagged` if there are any",
        INPUT_SCHEMA,
        "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"flagged\",\"count\",\"kinds\",\"findings\"],"
        "\"properties\":{\"flagged\":{\"type\":\"boolean\"},\"count\":{\"type\":\"integer\"},\"kinds\":" COUNTS_SCHEMA
        ",\"findings\":{\"type\":\"array\",\"items\":" FINDING_SCHEMA ",\"description\":\"The first 200, in the order of the text.\"}}}",
        "flagged",
    },
    {
        "redact",
        "puts [email], [card] and the like in the place of personal data and secrets",
        INPUT_SCHEMA,
        "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"text\",\"count\",\"kinds\"],\"properties\":{"
        "\"text\":{\"type\":\"string\"},\"count\":{\"type\":\"integer\"},\"kinds\":" COUNTS_SCHEMA "}}",
        NULL,
    },
};

struct request {
    struct text text;
    unsigned kinds;
    struct text allowed[ALLOWED];
    size_t allowed_count;
};

static const char *read_kinds(const struct json *list, unsigned *kinds)
{
    *kinds = 0;
    if (list->kind != JSON_ARRAY)
        return "`kinds` is no list";
    for (const struct json *one = list->first; one != NULL; one = one->next) {
        int kind = 0;
        while (kind < KINDS && !(one->kind == JSON_STRING && text_is(one->text, kind_names[kind])))
            kind++;
        if (kind == KINDS)
            return "`kinds` holds what is no kind; known: email, phone, card, iban, ip, secret, national_id";
        *kinds |= 1u << kind;
    }
    return NULL;
}

static const char *read_request(const struct json *input, struct request *request)
{
    const struct json *text = NULL;
    request->kinds = (1u << KINDS) - 1 - (1u << NATIONAL_ID);
    if (input->kind != JSON_OBJECT || (text = json_get(input, "text")) == NULL || text->kind != JSON_STRING)
        return "`text` is missing or no text";
    request->text = text->text;
    const struct json *kinds = json_get(input, "kinds"), *allow = json_get(input, "allow");
    const char *error = kinds != NULL ? read_kinds(kinds, &request->kinds) : NULL;
    if (error != NULL || allow == NULL)
        return error;
    if (allow->kind != JSON_ARRAY)
        return "`allow` is no list";
    for (const struct json *one = allow->first; one != NULL; one = one->next) {
        if (one->kind != JSON_STRING || one->text.length == 0 || request->allowed_count == ALLOWED)
            return "`allow` holds what is no text, or more than 200 entries";
        request->allowed[request->allowed_count++] = one->text;
    }
    return NULL;
}

/* Whether two spellings are the same in any case; of numbers signs do not count. */
static bool is_same(struct text a, struct text b, bool is_number)
{
    size_t i = 0, j = 0;
    for (;;) {
        while (is_number && i < a.length && !is_alnum((unsigned char)a.bytes[i]))
            i++;
        while (is_number && j < b.length && !is_alnum((unsigned char)b.bytes[j]))
            j++;
        if (i == a.length || j == b.length)
            return i == a.length && j == b.length;
        if (lower((unsigned char)a.bytes[i++]) != lower((unsigned char)b.bytes[j++]))
            return false;
    }
}

static struct text before_at(struct text text)
{
    const char *sign = memchr(text.bytes, '@', text.length);
    return sign != NULL ? (struct text){text.bytes, (size_t)(sign - text.bytes)} : text;
}

static bool is_allowed(const struct request *request, const struct finding *finding)
{
    struct text value = {request->text.bytes + finding->start, finding->end - finding->start};
    /* Of a chat the number counts, so that an entry with or without its suffix is the same one. */
    if (finding->kind == PHONE)
        value = before_at(value);
    bool is_number = finding->kind == PHONE || finding->kind == CARD || finding->kind == IBAN;
    for (size_t i = 0; i < request->allowed_count; i++) {
        struct text entry = finding->kind == PHONE ? before_at(request->allowed[i]) : request->allowed[i];
        struct text tail = value;
        if (finding->kind == EMAIL && entry.bytes[0] == '@' && entry.length < value.length) {
            tail.bytes += value.length - entry.length;
            tail.length = entry.length;
        }
        if (is_same(entry, tail, is_number))
            return true;
    }
    return false;
}

/* Characters of the text before `to`, counted on from `*at`, which is moved there. */
static size_t characters(struct text text, size_t *at, size_t to)
{
    size_t count = 0;
    for (; *at < to; ++*at)
        count += ((unsigned char)text.bytes[*at] & 0xc0) != 0x80;
    return count;
}

/* What may be shown of a finding: enough to know it again, too little to use it. */
static void write_sample(struct writer *writer, struct text text, const struct finding *finding)
{
    struct text value = {text.bytes + finding->start, finding->end - finding->start};
    struct writer sample = {.arena = writer->arena};
    /* Characters, not bytes: the beginning of a name may be any of them. */
    size_t first = 1;
    while (first < value.length && ((unsigned char)value.bytes[first] & 0xc0) == 0x80)
        first++;
    const char *sign = memchr(value.bytes, '@', value.length);
    switch (finding->kind) {
    case EMAIL:
        write_bytes(&sample, value.bytes, first);
        write_text(&sample, "***");
        write_bytes(&sample, sign, value.length - (size_t)(sign - value.bytes));
        break;
    case SECRET:
        /* What a service puts before its tokens is no secret. What is known by its name alone has no such part. */
        if (strstr(finding->what, "_token") != NULL || strstr(finding->what, "_key") != NULL)
            write_bytes(&sample, value.bytes, 3);
        write_text(&sample, "***");
        break;
    default:
        write_text(&sample, "***");
        size_t shown = value.length >= 10 ? 4 : 2;
        size_t from = value.length > shown ? value.length - shown : value.length;
        if (finding->kind == PHONE && strcmp(finding->what, "chat") == 0)
            from = (size_t)(sign - value.bytes) - 2;
        if (finding->kind != NATIONAL_ID && finding->kind != IP)
            write_bytes(&sample, value.bytes + from, value.length - from);
    }
    write_string(writer, (struct text){sample.bytes, sample.length});
}

static void write_counts(struct writer *writer, const struct scan *scan)
{
    size_t counts[KINDS] = {0};
    for (size_t i = 0; i < scan->count; i++)
        counts[scan->findings[i].kind]++;
    write_text(writer, "\"count\":");
    write_number(writer, scan->count);
    write_text(writer, ",\"kinds\":{");
    const char *comma = "";
    for (int kind = 0; kind < KINDS; kind++) {
        if (counts[kind] == 0)
            continue;
        write_text(writer, comma);
        write_string(writer, text_of(kind_names[kind]));
        write_text(writer, ":");
        write_number(writer, counts[kind]);
        comma = ",";
    }
    write_text(writer, "}");
}

static void write_check(struct writer *writer, const struct request *request, const struct scan *scan)
{
    write_text(writer, scan->count > 0 ? "{\"flagged\":true," : "{\"flagged\":false,");
    write_counts(writer, scan);
    write_text(writer, ",\"findings\":[");
    size_t at = 0, place = 0;
    for (size_t i = 0; i < scan->count && i < SHOWN; i++) {
        const struct finding *finding = &scan->findings[i];
        write_text(writer, i > 0 ? ",{\"kind\":" : "{\"kind\":");
        write_string(writer, text_of(kind_names[finding->kind]));
        write_text(writer, ",\"what\":");
        write_string(writer, text_of(finding->what));
        write_text(writer, ",\"start\":");
        write_number(writer, place += characters(request->text, &at, finding->start));
        write_text(writer, ",\"end\":");
        write_number(writer, place += characters(request->text, &at, finding->end));
        write_text(writer, ",\"sample\":");
        write_sample(writer, request->text, finding);
        write_text(writer, "}");
    }
    write_text(writer, "]}");
}

static void write_redacted(struct writer *writer, const struct request *request, const struct scan *scan)
{
    struct writer text = {.arena = writer->arena};
    size_t at = 0;
    for (size_t i = 0; i < scan->count; i++) {
        const struct finding *finding = &scan->findings[i];
        write_bytes(&text, request->text.bytes + at, finding->start - at);
        write_text(&text, "[");
        write_text(&text, kind_names[finding->kind]);
        write_text(&text, "]");
        at = finding->end;
    }
    write_bytes(&text, request->text.bytes + at, request->text.length - at);
    write_text(writer, "{\"text\":");
    write_string(writer, (struct text){text.bytes, text.length});
    write_text(writer, ",");
    write_counts(writer, scan);
    write_text(writer, "}");
}

struct ending run_step(struct arena *arena, struct text name, struct text input)
{
    bool is_check = text_is(name, steps[0].name);
    if (!is_check && !text_is(name, steps[1].name))
        return (struct ending){.code = "unknown_step", .message = "there is no such step; this plugin has check and redact"};
    const char *error = NULL;
    struct json *json = json_read(arena, input, &error);
    struct request *request = arena_take(arena, sizeof *request);
    if (json != NULL)
        error = read_request(json, request);
    if (error != NULL)
        return (struct ending){.code = "bad_input", .message = error};
    struct scan scan;
    scan_text(&scan, arena, request->text, request->kinds);
    size_t kept = 0;
    for (size_t i = 0; i < scan.count; i++)
        if (!is_allowed(request, &scan.findings[i]))
            scan.findings[kept++] = scan.findings[i];
    scan.count = kept;
    struct writer writer = {.arena = arena};
    if (is_check)
        write_check(&writer, request, &scan);
    else
        write_redacted(&writer, request, &scan);
    struct text output = {writer.bytes, writer.length};
    return (struct ending){.output = output, .port = is_check && kept > 0 ? steps[0].port : NULL};
}
