/* What is found in a text, what is not, and that no bytes whatever lead astray. Built with the sanitizers of memory and of
 * undefined behaviour; ends with 1 if something is not as expected. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../src/guard.h"

static int failures = 0;
static int checks = 0;

static void expect(bool is_right, const char *what, struct text found, const char *expected)
{
    checks++;
    if (is_right)
        return;
    failures++;
    printf("%s\n  found    %.*s\n  expected %s\n", what, (int)found.length, found.bytes, expected);
}

/* The output of a step for a text and more of its input, such as `,"kinds":["email"]`. */
static struct ending run(struct arena *arena, const char *step, struct text text, const char *more)
{
    struct writer writer = {.arena = arena};
    write_text(&writer, "{\"text\":");
    write_string(&writer, text);
    write_text(&writer, more);
    write_text(&writer, "}");
    /* In memory of its own size, so that a read beyond it is seen. */
    char *input = arena_grow(arena, writer.bytes, writer.length, writer.length);
    return run_step(arena, text_of(step), (struct text){input, writer.length});
}

static void redacts(const char *text, const char *expected, const char *more)
{
    struct arena arena = {0};
    struct ending ending = run(&arena, "redact", text_of(text), more);
    const char *error = NULL;
    struct json *json = json_read(&arena, ending.output, &error);
    const struct json *redacted = json != NULL ? json_get(json, "text") : NULL;
    struct text found = redacted != NULL ? redacted->text : text_of(ending.message != NULL ? ending.message : "no JSON");
    expect(text_is(found, expected), text, found, expected);
    arena_free(&arena);
}

/* A JWT in three lines, so that no scanner of repositories takes it for one. */
#define JWT "eyJhbGciOiJIUzI1NiJ9" "." "eyJzdWIiOiIxMjM0NTY3ODkwIn0" "." "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"

static const char *const redactions[][2] = {
    /* e-mail */
    {"write to ana@shop.example.", "write to [email]."},
    {"<Ana.B+x@mail.shop.example>, bob@x.io", "<[email]>, [email]"},
    {"josé@señal.example!", "[email]!"},
    {"'ana@shop.example'", "'[email]'"},
    {"ana@shop", "ana@shop"},
    {"a @ b.com", "a @ b.com"},
    {"@ana on x.com", "@ana on x.com"},
    {"ana@shop.example.com-", "[email].com-"},
    {"chat 15551234567@c.us", "chat [phone]"},
    {"15551234567@s.whatsapp.net 15551234567@whatsapp.net", "[phone] [email]"},
    /* phone */
    {"call +34 612 34 56 78 now", "call [phone] now"},
    {"+1 (650) 555-1234, +49-30-1234567.", "[phone], [phone]."},
    {"tel:+15551234567;", "tel:[phone];"},
    {"0049 30 1234567", "[phone]"},
    {"030 1234567, 030 12345", "[phone], 030 12345"},
    {"030 12345678 or (650) 555-1234", "[phone] or [phone]"},
    {"612 34 56 78 and 650-555-1234 and 650.555.1234", "[phone] and [phone] and [phone]"},
    {"+34\xc2\xa0" "612\xe2\x80\x91" "345678", "[phone]"},
    {"order 612345678 of 2024-11-02 10:20", "order 612345678 of 2024-11-02 10:20"},
    {"1 000 000 000 and 100 000 000 and 1,000,000,000", "1 000 000 000 and 100 000 000 and 1,000,000,000"},
    {"+1 + 2 = 3, +12", "+1 + 2 = 3, +12"},
    {"1234567890123456789012345678901234567890", "1234567890123456789012345678901234567890"},
    {"\xf0\x9f\x93\x9e+34612345678\xf0\x9f\x93\x9e", "\xf0\x9f\x93\x9e[phone]\xf0\x9f\x93\x9e"},
    {"\xe2\x80\x9c" "030 1234567\xe2\x80\x9d, \xe2\x80\x94" "+34612345678\xe2\x80\x94", "\xe2\x80\x9c[phone]\xe2\x80\x9d, \xe2\x80\x94[phone]\xe2\x80\x94"},
    {"\xe7\x94\xb5\xe8\xaf\x9d+34612345678\xe3\x80\x82", "\xe7\x94\xb5\xe8\xaf\x9d[phone]\xe3\x80\x82"},
    {"+34\xe2\x80\xaf" "612 345 678", "[phone]"},
    {"05/03/2026 10:30 and 05.03.2026 10:30 and 05-03-2026 1030", "05/03/2026 10:30 and 05.03.2026 10:30 and 05-03-2026 1030"},
    {"invoice 00123456 of 0012345678", "invoice 00123456 of [phone]"},
    {"\xc3\xa9" "030 1234567 and 030 1234567\xc3\xa9", "\xc3\xa9" "030 1234567 and 030 1234567\xc3\xa9"},
    /* cards */
    {"\xf0\x9f\x92\xb3" "4111111111111111\xf0\x9f\x92\xb3", "\xf0\x9f\x92\xb3[card]\xf0\x9f\x92\xb3"},
    {"\xe2\x80\x98" "4111111111111111\xe2\x80\x99\xc2\xa0" "4111111111111111", "\xe2\x80\x98[card]\xe2\x80\x99\xc2\xa0[card]"},
    {"\xd0\xb6" "4111111111111111 4111111111111111\xc3\xb1", "\xd0\xb6" "4111111111111111 4111111111111111\xc3\xb1"},
    {"4111.1111.1111.1111, 4111\xc2\xa0" "1111\xc2\xa0" "1111\xc2\xa0" "1111", "[card], [card]"},
    {"4111\xe2\x80\x93" "1111\xe2\x80\x93" "1111\xe2\x80\x93" "1111; 4111\xe2\x80\xaf" "1111\xe2\x80\xaf" "1111\xe2\x80\xaf" "1111", "[card]; [card]"},
    {"4111/1111/1111/1111", "4111/1111/1111/1111"},
    {"4111 1111 1111 1111 12/27", "[card] 12/27"},
    {"card 4111-1111-1111-1111.", "card [card]."},
    {"378282246310005 5555555555554444", "[card] [card]"},
    {"4111 1111 1111 1112", "4111 1111 1111 1112"},
    {"94111111111111111", "94111111111111111"},
    {"x4111111111111111", "x4111111111111111"},
    /* accounts */
    {"ES91 2100 0418 4502 0005 1332, thanks", "[iban], thanks"},
    {"\xc2\xab" "ES9121000418450200051332\xc2\xbb", "\xc2\xab[iban]\xc2\xbb"},
    {"iban: gb82west12345698765432", "iban: [iban]"},
    {"DE89370400440532013000DE89370400440532013000", "DE89370400440532013000DE89370400440532013000"},
    {"ES91 2100 0418 4502 0005 1333", "ES91 2100 0418 4502 0005 1333"},
    /* addresses */
    {"from 192.168.1.20:8080.", "from [ip]:8080."},
    {"\xe2\x86\x92" "10.0.0.1\xe2\x86\x90 \xe2\x80\x9c" "fe80::1\xe2\x80\x9d", "\xe2\x86\x92[ip]\xe2\x86\x90 \xe2\x80\x9c[ip]\xe2\x80\x9d"},
    {"version 1.2.3.4.5 or 300.1.1.1", "version 1.2.3.4.5 or 300.1.1.1"},
    {"2001:db8::1, [fe80::1ff:fe23:4567:890a]", "[ip], [[ip]]"},
    {"1:2:3:4:5:6:7:8 ::ffff:10.0.0.1", "[ip] [ip]"},
    {"at 10:20:30, std::dec, a::b", "at 10:20:30, std::dec, a::b"},
    /* secrets */
    {"ghp_" "abcdefghijABCDEFGHIJ0123456789abcdef", "[secret]"},
    {"key sk-" "proj-abcdefghij0123456789_-.", "key [secret]."},
    {"AKIA" "IOSFODNN7EXAMPLE and AKIAX", "[secret] and AKIAX"},
    {"AKIA" "IOSFODNN7EXAMPLE-prod, AKIA" "IOSFODNN7EXAMPLEX", "[secret]-prod, AKIA" "IOSFODNN7EXAMPLEX"},
    {"\xf0\x9f\x94\x91ghp_" "abcdefghijABCDEFGHIJ0123456789abcdef", "\xf0\x9f\x94\x91[secret]"},
    {JWT, "[secret]"},
    {"eyJ.eyJ.x", "eyJ.eyJ.x"},
    {"123456789:" "AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc", "[secret]"},
    {"-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----\nbye", "[secret]\nbye"},
    {"-----BEGIN PRIVATE KEY-----\nMIIB", "[secret]"},
    {"-----BEGIN CERTIFICATE-----\nMIIB", "-----BEGIN CERTIFICATE-----\nMIIB"},
    {"postgres://app:hunter2@db/x", "postgres://app:[secret]@db/x"},
    {"https://x.example/a:b@c", "https://x.example/a:b@c"},
    {"DB_PASSWORD=hunter2!", "DB_PASSWORD=[secret]!"},
    {"password: \"tr0ub4dor\"", "password: \"[secret]\""},
    {"{\"api_key\": \"a1b2c3d4e5f6g7h8\"}", "{\"api_key\": \"[secret]\"}"},
    {"API key: a1b2c3d4e5f6g7h8.", "API key: [secret]."},
    {"Authorization: Bearer a1b2c3d4e5f6g7h8", "Authorization: Bearer [secret]"},
    {"contraseña: Gato1234", "contraseña: [secret]"},
    {"password: please, token: yours, secret = aaaaaaaaaaaa1", "password: please, token: yours, secret = aaaaaaaaaaaa1"},
    {"PASSWORD=$PASSWORD token={{ secrets.a }} password: ********", "PASSWORD=$PASSWORD token={{ secrets.a }} password: ********"},
    /* nothing */
    {"", ""},
    {"Good morning! Your order A-17 (3 items, 59.00) is ready.", "Good morning! Your order A-17 (3 items, 59.00) is ready."},
    {"\xf0\x9f\x98\x80 ana@shop.example \xf0\x9f\x98\x80", "\xf0\x9f\x98\x80 [email] \xf0\x9f\x98\x80"},
};

static void options(void)
{
    const char *ids = "123-45-6789 12345678Z X1234567L 529.982.247-25";
    redacts(ids, ids, "");
    redacts(ids, "[national_id] [national_id] [national_id] [national_id]", ",\"kinds\":[\"national_id\"]");
    redacts("666-45-6789 12345678A 111.111.111-11", "666-45-6789 12345678A 111.111.111-11", ",\"kinds\":[\"national_id\"]");
    redacts("a@b.io 10.0.0.1", "a@b.io [ip]", ",\"kinds\":[\"ip\",\"card\"]");
    redacts("15551234567@c.us a@b.io", "[phone] a@b.io", ",\"kinds\":[\"phone\"]");
    redacts("help@Shop.example ana@shop.example x@y.io", "help@Shop.example [email] x@y.io",
            ",\"allow\":[\"HELP@shop.example\",\"@y.io\"]");
    redacts("+34 612 34 56 78 +34 612 34 56 79", "+34 612 34 56 78 [phone]", ",\"allow\":[\"+34612345678\"]");
    redacts("34612345678@c.us 34612345678@s.whatsapp.net 34612345679@c.us", "34612345678@c.us 34612345678@s.whatsapp.net [phone]",
            ",\"allow\":[\"+34 612 345 678\"]");
    redacts("34612345678@s.whatsapp.net +34612345678", "34612345678@s.whatsapp.net +34612345678", ",\"allow\":[\"34612345678@c.us\"]");
    redacts("34612345678@c.us", "[phone]", ",\"allow\":[\"@c.us\"]");
    redacts("\xe2\x80\x9c" "12345678Z\xe2\x80\x9d", "\xe2\x80\x9c[national_id]\xe2\x80\x9d", ",\"kinds\":[\"national_id\"]");
}

static void answers(void)
{
    static const char *const inputs[][3] = {
        {"check", "{\"text\":\"hi\"}", "{\"flagged\":false,\"count\":0,\"kinds\":{},\"findings\":[]}"},
        {"check", "{\"text\":\"\\u00e9 ana@x.io, 4111111111111111\"}",
         "{\"flagged\":true,\"count\":2,\"kinds\":{\"email\":1,\"card\":1},\"findings\":["
         "{\"kind\":\"email\",\"what\":\"email\",\"start\":2,\"end\":10,\"sample\":\"a***@x.io\"},"
         "{\"kind\":\"card\",\"what\":\"visa\",\"start\":12,\"end\":28,\"sample\":\"***1111\"}]}"},
        {"redact", "{\"text\":\"\\ud83d\\ude00 \\\" \\n\"}", "{\"text\":\"\xf0\x9f\x98\x80 \\\" \\n\",\"count\":0,\"kinds\":{}}"},
        {"redact", "{\"text\":\"\\\\ \\t \\r \\u0001\"}", "{\"text\":\"\\\\ \\t \\r \\u0001\",\"count\":0,\"kinds\":{}}"},
        {"redact", "{\"text\":\"\\ud83d!\\udc00\"}", "{\"text\":\"\xef\xbf\xbd!\xef\xbf\xbd\",\"count\":0,\"kinds\":{}}"},
        {"other", "{}", "unknown_step"},
        {"check", "{", "bad_input"},
        {"check", "{\"text\":1}", "bad_input"},
        {"check", "[\"text\"]", "bad_input"},
        {"check", "{\"text\":\"a\",\"kinds\":[\"nose\"]}", "bad_input"},
        {"check", "{\"text\":\"a\",\"allow\":[\"\"]}", "bad_input"},
        {"check", "{\"text\":\"\\x\"}", "bad_input"},
        {"check", "{\"text\":\"\\u12\"}", "bad_input"},
        {"check", "{\"text\":\"a\"} x", "bad_input"},
        {"check", "{\"text\":\"a", "bad_input"},
        {"check", "{\"text\":\"a\\", "bad_input"},
        {"check", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "bad_input"},
        {"check", "", "bad_input"},
    };
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        struct arena arena = {0};
        struct ending ending = run_step(&arena, text_of(inputs[i][0]), text_of(inputs[i][1]));
        struct text found = ending.code != NULL ? text_of(ending.code) : ending.output;
        expect(text_is(found, inputs[i][2]), inputs[i][1], found, inputs[i][2]);
        arena_free(&arena);
    }
}

static bool is_utf8(struct text text)
{
    for (size_t i = 0; i < text.length;) {
        unsigned char c = (unsigned char)text.bytes[i];
        size_t length = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
        if (length == 0 || length > text.length - i)
            return false;
        for (size_t j = 1; j < length; j++)
            if (((unsigned char)text.bytes[i + j] & 0xc0) != 0x80)
                return false;
        i += length;
    }
    return true;
}

static uint32_t chance(uint32_t *state, uint32_t below)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 8) % below;
}

/* Texts of pieces that detectors look for, cut and glued in any way: nothing crashes, and what comes out is JSON of whole
 * characters. */
static void any_text(void)
{
    static const char *const pieces[] = {
        "ana@shop.example", "@", ".", "+34 612", " 34 56 78", "4111 1111", "ES91 2100 0418 4502 0005 1332", "192.168.",
        "::1", "2001:db8", "sk-", "ghp_abcdefghijABCDEFGHIJ0123456789abcdef", "eyJabcdefghijk", "-----BEGIN ", "PRIVATE KEY",
        "-----END ", "-----", "://", "user:pass@", "password=", "token: ", "Bearer ", "\xc3\xa9", "\xe2\x80\x91", "\xf0\x9f\x98\x80",
        " ", "0", "00", "(", ")", "/", "-", ":", "x", "\"", "\\", "\n", "9", "55", "1234567890", "a1B2c3D4e5F6",
    };
    uint32_t state = 1;
    for (int round = 0; round < 20000; round++) {
        struct arena arena = {0};
        struct writer writer = {.arena = &arena};
        for (uint32_t i = chance(&state, 12); i > 0; i--) {
            const char *piece = pieces[chance(&state, sizeof pieces / sizeof pieces[0])];
            /* Whole characters: the host gives no others. */
            size_t length = (unsigned char)piece[0] < 0x80 ? chance(&state, (uint32_t)strlen(piece) + 1) : strlen(piece);
            write_bytes(&writer, piece, length);
        }
        struct text text = {writer.bytes != NULL ? writer.bytes : "", writer.length};
        struct ending check = run(&arena, "check", text, ",\"kinds\":[\"email\",\"phone\",\"card\",\"iban\",\"ip\",\"secret\",\"national_id\"]");
        struct ending redact = run(&arena, "redact", text, "");
        const char *error = NULL;
        struct json *one = json_read(&arena, check.output, &error), *two = json_read(&arena, redact.output, &error);
        expect(one != NULL && two != NULL && is_utf8(check.output) && is_utf8(redact.output), "any text", text, "JSON, UTF-8");
        arena_free(&arena);
    }
    /* Bytes that are no JSON, or nearly. */
    for (int round = 0; round < 20000; round++) {
        struct arena arena = {0};
        char input[] = "{\"text\":\"+34 612 34 56 78 \\ud83d\\ude00\",\"kinds\":[\"phone\",\"ip\"],\"allow\":[\"a\",\"@b\"]}";
        for (uint32_t i = chance(&state, 4); i > 0; i--)
            input[chance(&state, sizeof input - 1)] = "\"\\{}[],:u\0\xff" "a1"[chance(&state, 13)];
        size_t length = chance(&state, 8) == 0 ? chance(&state, sizeof input) : sizeof input - 1;
        char *copy = arena_grow(&arena, input, length, length);
        struct ending ending = run_step(&arena, text_of("check"), (struct text){copy, length});
        expect((ending.code != NULL) != (ending.output.length > 0), "any bytes", (struct text){input, length}, "an output or an error");
        arena_free(&arena);
    }
}

/* The repeated pieces that would make a careless search slow: with the square of their number these would take minutes. */
static void long_texts(void)
{
    static const char *const pieces[] = {
        "@", "a@", "a@a.", "a.", "+", "1 ", "4 ", "(1", "sk-", "eyJ-", "eyJ.", "eyJaaaaaaaaaa.", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----",
        "://", "://a:", "password=", "pwd: ", "api key: a", "Bearer ", "::", "a:", "1.", "ES91", "\xc3\xa9", "12-", "_", "a", "1", "ghp_", "AKIA-", "AKIA", "4111.", "\xe2\x80\x93",
    };
    /* Of the processor's time, not of the clock; it takes less than a tenth of one. */
    enum { LENGTH = 400000, SECONDS = 5 };
    char *bytes = malloc(LENGTH);
    for (size_t i = 0; bytes != NULL && i < sizeof pieces / sizeof pieces[0]; i++) {
        size_t length = 0, piece = strlen(pieces[i]);
        for (; length + piece <= LENGTH; length += piece)
            memcpy(bytes + length, pieces[i], piece);
        struct arena arena = {0};
        clock_t began = clock();
        struct ending ending = run(&arena, "redact", (struct text){bytes, length}, "");
        double seconds = (double)(clock() - began) / CLOCKS_PER_SEC;
        expect(ending.output.length > 0, pieces[i], text_of(""), "an output");
        expect(seconds < SECONDS, pieces[i], text_of(""), "a search in time");
        arena_free(&arena);
    }
    free(bytes);
}

static void schemas(void)
{
    for (int i = 0; i < STEPS; i++) {
        struct arena arena = {0};
        const char *error = NULL;
        const char *const texts[] = {steps[i].input_schema, steps[i].output_schema};
        for (int j = 0; j < 2; j++) {
            struct json *schema = json_read(&arena, text_of(texts[j]), &error);
            expect(schema != NULL && json_get(schema, "properties") != NULL, steps[i].name, text_of(texts[j]), "a schema");
        }
        arena_free(&arena);
    }
}

int main(void)
{
    for (size_t i = 0; i < sizeof redactions / sizeof redactions[0]; i++)
        redacts(redactions[i][0], redactions[i][1], "");
    options();
    answers();
    schemas();
    any_text();
    long_texts();
    printf("text-guard: %d of %d checks are right\n", checks - failures, checks);
    return failures > 0;
}
