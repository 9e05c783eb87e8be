/* International bank account numbers (ISO 13616): the length of their country, and the right check digits (mod 97). */
#include "scan.h"

#include <stdint.h>

static const struct {
    char country[3];
    unsigned char length;
} countries[] = {
    {"AD", 24}, {"AE", 23}, {"AL", 28}, {"AT", 20}, {"AZ", 28}, {"BA", 20}, {"BE", 16}, {"BG", 22}, {"BH", 22}, {"BI", 27},
    {"BR", 29}, {"BY", 28}, {"CH", 21}, {"CR", 22}, {"CY", 28}, {"CZ", 24}, {"DE", 22}, {"DJ", 27}, {"DK", 18}, {"DO", 28},
    {"EE", 20}, {"EG", 29}, {"ES", 24}, {"FI", 18}, {"FK", 18}, {"FO", 18}, {"FR", 27}, {"GB", 22}, {"GE", 22}, {"GI", 23},
    {"GL", 18}, {"GR", 27}, {"GT", 28}, {"HN", 28}, {"HR", 21}, {"HU", 28}, {"IE", 22}, {"IL", 23}, {"IQ", 23}, {"IS", 26},
    {"IT", 27}, {"JO", 30}, {"KW", 30}, {"KZ", 20}, {"LB", 28}, {"LC", 32}, {"LI", 21}, {"LT", 20}, {"LU", 20}, {"LV", 21},
    {"LY", 25}, {"MC", 27}, {"MD", 24}, {"ME", 22}, {"MK", 19}, {"MN", 20}, {"MR", 27}, {"MT", 31}, {"MU", 30}, {"NI", 28},
    {"NL", 18}, {"NO", 15}, {"OM", 23}, {"PK", 24}, {"PL", 28}, {"PS", 29}, {"PT", 25}, {"QA", 29}, {"RO", 24}, {"RS", 22},
    {"RU", 33}, {"SA", 24}, {"SC", 31}, {"SD", 18}, {"SE", 24}, {"SI", 19}, {"SK", 24}, {"SM", 27}, {"SO", 23}, {"ST", 25},
    {"SV", 28}, {"TL", 23}, {"TN", 24}, {"TR", 26}, {"UA", 29}, {"VA", 22}, {"VG", 24}, {"XK", 20}, {"YE", 30},
};

/* The longest there may be. */
#define MOST 34

static int length_of(unsigned char first, unsigned char second)
{
    for (size_t i = 0; i < sizeof countries / sizeof countries[0]; i++)
        if (lower((unsigned char)countries[i].country[0]) == lower(first) && lower((unsigned char)countries[i].country[1]) == lower(second))
            return countries[i].length;
    return 0;
}

static uint32_t add(uint32_t rest, unsigned char c)
{
    return is_digit(c) ? (rest * 10 + (c - '0')) % 97 : (rest * 100 + (lower(c) - 'a' + 10)) % 97;
}

void find_ibans(struct scan *scan)
{
    for (size_t start = 0; start + 14 < scan->text.length; start++) {
        unsigned char first = byte_at(scan, start), second = byte_at(scan, start + 1);
        if (!is_letter(first) || !is_letter(second) || word_before(scan, start))
            continue;
        if (!is_digit(byte_at(scan, start + 2)) || !is_digit(byte_at(scan, start + 3)))
            continue;
        int length = length_of(first, second);
        unsigned char signs[MOST];
        int count = 0;
        size_t at = start, end = start;
        while (count < length && is_alnum(byte_at(scan, at))) {
            signs[count++] = byte_at(scan, at);
            end = ++at;
            if ((byte_at(scan, at) == ' ' || byte_at(scan, at) == '-') && is_alnum(byte_at(scan, at + 1)))
                at++;
        }
        if (length == 0 || count < length || word_at(scan, end))
            continue;
        uint32_t rest = 0;
        for (int i = 0; i < length; i++)
            rest = add(rest, signs[(i + 4) % length]);
        if (rest == 1)
            found(scan, IBAN, "iban", start, end);
    }
}
