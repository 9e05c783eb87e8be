/* Addresses of machines: IPv4 and IPv6. */
#include "scan.h"

/* The longest form of IPv6: eight groups, the last two as IPv4. */
#define MOST 45

/* The end of four numbers up to 255 at a place, or that place. */
static size_t ipv4(const struct scan *scan, size_t start)
{
    size_t at = start;
    for (int part = 0; part < 4; part++) {
        int number = 0, digits = 0;
        if (part > 0 && byte_at(scan, at++) != '.')
            return start;
        while (digits < 4 && is_digit(byte_at(scan, at))) {
            number = number * 10 + byte_at(scan, at++) - '0';
            digits++;
        }
        if (digits == 0 || digits > 3 || number > 255)
            return start;
    }
    return at;
}

static bool is_hex(unsigned char c)
{
    return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'f');
}

/* Whether the bytes are an address: groups of up to four hexadecimal digits, of which `::` leaves some out. */
static bool is_ipv6(const struct scan *scan, size_t start, size_t end)
{
    int groups = 0, gaps = 0;
    bool has_digit = false;
    size_t at = start;
    while (at < end) {
        if (byte_at(scan, at) == ':') {
            bool is_gap = byte_at(scan, at + 1) == ':' && at + 1 < end;
            if (!is_gap && (at == start || at + 1 == end))
                return false;
            gaps += is_gap;
            at += is_gap ? 2 : 1;
            if (at < end && byte_at(scan, at) == ':')
                return false;
            continue;
        }
        size_t group = at;
        while (at < end && at - group < 5 && is_hex(byte_at(scan, at))) {
            has_digit = has_digit || is_digit(byte_at(scan, at));
            at++;
        }
        if (at < end && byte_at(scan, at) == '.') {
            if (ipv4(scan, group) != end)
                return false;
            groups += 2;
            break;
        }
        if (at == group || at - group > 4)
            return false;
        groups++;
    }
    /* `a::b` is more often a name in a program than an address. */
    if (gaps > 0)
        return gaps == 1 && groups >= 2 && groups <= 7 && has_digit;
    return groups == 8;
}

void find_addresses(struct scan *scan)
{
    for (size_t start = 0; start < scan->text.length; start++) {
        unsigned char c = byte_at(scan, start), before = byte_before(scan, start);
        if (word_before(scan, start) || before == '.' || before == ':')
            continue;
        if (is_digit(c)) {
            size_t end = ipv4(scan, start);
            bool goes_on = word_at(scan, end) || (byte_at(scan, end) == '.' && is_digit(byte_at(scan, end + 1)));
            if (end > start && !goes_on && found(scan, IP, "ipv4", start, end))
                continue;
        }
        if (!is_hex(c) && c != ':')
            continue;
        size_t end = start;
        while (end - start <= MOST && (is_hex(byte_at(scan, end)) || byte_at(scan, end) == ':' || byte_at(scan, end) == '.'))
            end++;
        if (end - start > MOST || word_at(scan, end))
            continue;
        /* The end of a sentence. */
        while (end > start && (byte_at(scan, end - 1) == '.' || (byte_at(scan, end - 1) == ':' && byte_at(scan, end - 2) != ':')))
            end--;
        if (end - start >= 4 && is_ipv6(scan, start, end))
            found(scan, IP, "ipv6", start, end);
    }
}
