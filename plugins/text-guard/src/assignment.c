/* Secrets without a form of their own, known by what stands before them: `DB_PASSWORD=...`, `api key: ...`, `Bearer ...`. */
#include "scan.h"

#include <stdint.h>
#include <string.h>

/* Longest value that is looked at. */
#define VALUE 512

/* Names that end so hold a password: people choose them, so that they look like words. */
static const char *const passwords[] = {"password", "passwd", "passphrase", "pwd", "contraseña", "passwort", "senha"};

/* Names that end so hold a key: a machine makes them, so that they look like chance. */
static const char *const keys[] = {
    "secret", "token", "apikey", "api_key", "api-key", "access_key", "access-key", "accesskey", "private_key", "secret_key",
    "secretkey", "client_secret", "auth_key", "credential", "credentials",
};

static bool is_name(unsigned char c)
{
    return is_word(c) || c == '_' || c == '-';
}

/* Whether the name before `end` ends with one of `words`. */
static bool ends_with(const struct scan *scan, size_t start, size_t end, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(words[i]);
        if (end - start >= length && stands_at(scan, end - length, words[i]))
            return true;
    }
    return false;
}

/* A little more than 256 times the binary logarithm, straight between powers of two. */
static uint32_t log2_256(uint32_t number)
{
    uint32_t bits = 0;
    while (number >> bits > 1)
        bits++;
    return bits * 256 + (((number - (1u << bits)) << 8) >> bits);
}

/* Whether the bytes look like chance: at least three bits of entropy each, with letters and digits. */
static bool is_random(const struct scan *scan, size_t start, size_t end)
{
    uint32_t counts[256] = {0}, length = (uint32_t)(end - start), sum = 0;
    bool has_digit = false, has_letter = false;
    for (size_t at = start; at < end; at++) {
        counts[byte_at(scan, at)]++;
        has_digit = has_digit || is_digit(byte_at(scan, at));
        has_letter = has_letter || is_letter(byte_at(scan, at));
    }
    for (int i = 0; i < 256; i++)
        if (counts[i] > 0)
            sum += counts[i] * log2_256(counts[i]);
    return length >= 12 && has_digit && has_letter && length * log2_256(length) - sum >= 3 * 256 * length;
}

/* Whether the bytes look like a password rather than a word: a digit, a sign, or capitals inside. */
static bool is_password(const struct scan *scan, size_t start, size_t end)
{
    for (size_t at = start; at < end && end - start >= 6; at++) {
        unsigned char c = byte_at(scan, at);
        bool is_capital = at > start && c >= 'A' && c <= 'Z' && lower(byte_before(scan, at)) == byte_before(scan, at);
        if (is_digit(c) || is_capital || (!is_word(c) && c != '-' && c != '\''))
            return true;
    }
    return false;
}

static size_t skip(const struct scan *scan, size_t at, const char *what, size_t most)
{
    for (size_t i = 0; i < most && byte_at(scan, at) != 0 && strchr(what, byte_at(scan, at)) != NULL; i++)
        at++;
    return at;
}

/* The end of the value at a place, without the end of its sentence. */
static size_t value(const struct scan *scan, size_t start)
{
    size_t end = start;
    while (end - start < VALUE && byte_at(scan, end) > ' ' && strchr("\"'`,;<>{}|", byte_at(scan, end)) == NULL)
        end++;
    if (end - start == VALUE)
        while (end > start && (byte_at(scan, end) & 0xc0) == 0x80)
            end--;
    while (end > start && strchr(".!?)]", byte_at(scan, end - 1)) != NULL)
        end--;
    return end;
}

/* What a name says of the value behind it: takes the value, and gives the place behind it, or `end`. */
static size_t assigned(struct scan *scan, size_t start, size_t end)
{
    bool is_secret = ends_with(scan, start, end, passwords, sizeof passwords / sizeof passwords[0]);
    bool is_key = ends_with(scan, start, end, keys, sizeof keys / sizeof keys[0]);
    bool is_bearer = end - start == 6 && stands_at(scan, start, "bearer");
    /* `API key`: the words before are one name with it. */
    if (end - start == 3 && stands_at(scan, start, "key") && start >= 4)
        is_key = stands_at(scan, start - 4, "api ") && !is_word(byte_before(scan, start - 4));
    if (!is_secret && !is_key && !is_bearer)
        return end;
    size_t at = skip(scan, end, is_bearer ? " " : " \"'", 3);
    if (!is_bearer) {
        size_t sign = skip(scan, at, ":=", 2);
        if (sign == at)
            return end;
        at = skip(scan, sign, "> \"'`", 4);
    }
    size_t close = value(scan, at);
    /* A variable, a gap to be filled, or what was masked already. */
    if (close == at || strchr("$<{*[%", byte_at(scan, at)) != NULL)
        return end;
    bool is_one = is_secret ? is_password(scan, at, close) : is_random(scan, at, close);
    if (is_one && found(scan, SECRET, is_bearer ? "bearer" : is_secret ? "password" : "assignment", at, close))
        return close;
    return end;
}

void find_assignments(struct scan *scan)
{
    size_t at = 0;
    while (at < scan->text.length) {
        if (!is_name(byte_at(scan, at))) {
            at++;
            continue;
        }
        size_t start = at;
        while (is_name(byte_at(scan, at)))
            at++;
        at = assigned(scan, start, at);
    }
}
