/* E-mail addresses, and WhatsApp chats, which look like them. */
#include "scan.h"

/* RFC 5321: a local part has at most 64 bytes, a domain 255. */
#define LOCAL 64
#define DOMAIN 255

static bool is_local(unsigned char c)
{
    return is_word(c) || c == '.' || c == '_' || c == '%' || c == '+' || c == '-' || c == '\'';
}

static bool is_continuation(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

/* The end of the domain that begins at a place: labels, the last of which has two letters or more. That place if there is
 * none. */
static size_t domain(const struct scan *scan, size_t begin)
{
    size_t end = begin, label = begin, at = begin;
    int labels = 0;
    bool has_digit = false;
    while (at - begin < DOMAIN && (is_word(byte_at(scan, at)) || byte_at(scan, at) == '-' || byte_at(scan, at) == '.')) {
        if (byte_at(scan, at) == '.') {
            if (at == label)
                break;
            labels++;
            label = at + 1;
            has_digit = false;
        } else {
            has_digit = has_digit || is_digit(byte_at(scan, at)) || byte_at(scan, at) == '-';
            /* `example.com-` and `example.co1` end with what is a label so far. */
            bool is_whole = !is_word(byte_at(scan, at + 1)) && byte_at(scan, at + 1) != '-';
            if (labels > 0 && !has_digit && is_whole && at + 1 - label >= 2)
                end = at + 1;
        }
        at++;
    }
    while (end > begin && is_continuation(byte_at(scan, end)))
        end--;
    return end;
}

void find_emails(struct scan *scan)
{
    for (size_t at = 1; at + 1 < scan->text.length; at++) {
        if (byte_at(scan, at) != '@')
            continue;
        size_t start = at;
        bool is_number = true;
        while (start > 0 && at - start < LOCAL && is_local(byte_before(scan, start)) && !scan->taken[start - 1]) {
            start--;
            is_number = is_number && is_digit(byte_at(scan, start));
        }
        /* Quotes and dots belong to the sentence; a cut character to nobody. */
        while (start < at && (is_continuation(byte_at(scan, start)) || byte_at(scan, start) == '.' || byte_at(scan, start) == '\''))
            start++;
        size_t end = domain(scan, at + 1);
        if (start == at || end == at + 1)
            continue;
        bool has_suffix = (end - at == 5 && stands_at(scan, at, "@c.us")) || (end - at == 15 && stands_at(scan, at, "@s.whatsapp.net"));
        bool is_chat = is_number && at - start >= 5 && has_suffix;
        found(scan, is_chat ? PHONE : EMAIL, is_chat ? "chat" : "email", start, end);
    }
}
