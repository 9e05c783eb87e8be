/* Secrets with a form of their own: keys and tokens of services, JWT, private keys, passwords in URLs. */
#include "scan.h"

#include <string.h>

/* Longest user and password that are looked for in a URL. */
#define USERINFO 256

/* Longest name of a PEM block. */
#define LABEL 64

static const struct prefix {
    const char *text;
    const char *what;
    /* Characters behind the prefix; `most` 0 is any number. */
    unsigned char least, most;
} prefixes[] = {
    {"sk-ant-", "anthropic_key", 20, 0},
    {"sk-", "openai_key", 20, 0},
    {"sk_live_", "stripe_key", 16, 0},
    {"sk_test_", "stripe_key", 16, 0},
    {"rk_live_", "stripe_key", 16, 0},
    {"rk_test_", "stripe_key", 16, 0},
    {"whsec_", "webhook_secret", 16, 0},
    {"ghp_", "github_token", 30, 0},
    {"gho_", "github_token", 30, 0},
    {"ghu_", "github_token", 30, 0},
    {"ghs_", "github_token", 30, 0},
    {"ghr_", "github_token", 30, 0},
    {"github_pat_", "github_token", 30, 0},
    {"glpat-", "gitlab_token", 20, 0},
    {"xoxb-", "slack_token", 10, 0},
    {"xoxa-", "slack_token", 10, 0},
    {"xoxp-", "slack_token", 10, 0},
    {"xoxr-", "slack_token", 10, 0},
    {"xoxs-", "slack_token", 10, 0},
    {"xapp-", "slack_token", 10, 0},
    {"AKIA", "aws_key", 16, 16},
    {"ASIA", "aws_key", 16, 16},
    {"AIza", "google_key", 35, 0},
    {"ya29.", "google_token", 20, 0},
    {"npm_", "npm_token", 30, 0},
    {"pypi-", "pypi_token", 20, 0},
    {"hf_", "huggingface_token", 30, 0},
    {"dop_v1_", "digitalocean_token", 40, 0},
    {"shpat_", "shopify_token", 30, 0},
    {"SG.", "sendgrid_key", 40, 0},
};

static bool is_token(unsigned char c)
{
    return is_alnum(c) || c == '_' || c == '-';
}

/* The end of the run of token characters at a place. */
static size_t run(const struct scan *scan, size_t at)
{
    while (is_token(byte_at(scan, at)))
        at++;
    return at;
}

static bool begins(const struct scan *scan, size_t at, const char *text)
{
    size_t length = strlen(text);
    return scan->text.length - at >= length && memcmp(scan->text.bytes + at, text, length) == 0;
}

/* The end of a token of a known service at a place, or that place. */
static size_t service(const struct scan *scan, size_t start, const char **what)
{
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        const struct prefix *prefix = &prefixes[i];
        if (!begins(scan, start, prefix->text))
            continue;
        size_t body = start + strlen(prefix->text), end = body;
        bool may_have_dots = strcmp(prefix->text, "SG.") == 0;
        /* A prefix without dash and with a length of its own has letters and digits behind it, of which one too many says
         * enough: in `AKIA-AKIA-...` each would look at all that follows. Where another is too short nothing is looked at
         * twice for long: `least` is small. */
        while (prefix->most > 0 && end - body <= prefix->most && is_alnum(byte_at(scan, end)))
            end++;
        while (prefix->most == 0 && (is_token(byte_at(scan, end)) || (may_have_dots && byte_at(scan, end) == '.' && is_token(byte_at(scan, end + 1)))))
            end++;
        size_t length = end - body;
        if (length < prefix->least || (prefix->most > 0 && length > prefix->most))
            continue;
        *what = prefix->what;
        return end;
    }
    return start;
}

/* The end of `header.claims.signature` at a place, or that place. `*next` is where to look for one again. */
static size_t jwt(const struct scan *scan, size_t start, size_t *next)
{
    size_t header = run(scan, start);
    *next = header;
    if (header - start < 10 || byte_at(scan, header) != '.' || !begins(scan, header + 1, "eyJ"))
        return start;
    size_t claims = run(scan, header + 1);
    if (byte_at(scan, claims) != '.')
        return start;
    size_t end = run(scan, claims + 1);
    return end - claims > 8 ? end : start;
}

/* The end of the private key whose first dash is at a place, or that place. Without an end it goes on to that of the text. */
static size_t pem(const struct scan *scan, size_t start)
{
    static const char begin[] = "-----BEGIN ", close[] = "-----END ", dashes[] = "-----", key[] = "PRIVATE KEY";
    if (!begins(scan, start, begin))
        return start;
    size_t label = start + sizeof begin - 1, at = label;
    bool is_private = false;
    while (at - label < LABEL && !begins(scan, at < scan->text.length ? at : scan->text.length, dashes)) {
        if (at >= scan->text.length)
            return start;
        is_private = is_private || begins(scan, at, key);
        at++;
    }
    if (!is_private)
        return start;
    while (at < scan->text.length && !begins(scan, at, close))
        at++;
    if (at >= scan->text.length)
        return scan->text.length;
    size_t end = at + sizeof close - 1;
    while (end - at < LABEL && end < scan->text.length && byte_at(scan, end) != '\n' && !begins(scan, end, dashes))
        end++;
    return end < scan->text.length && begins(scan, end, dashes) ? end + sizeof dashes - 1 : end;
}

/* `user:password@` behind the `://` at a place: takes the password. */
static void in_url(struct scan *scan, size_t at)
{
    size_t begin = at + 3, password = 0;
    for (size_t i = begin; i < scan->text.length && i - begin < USERINFO; i++) {
        unsigned char c = byte_at(scan, i);
        if (c <= ' ' || c == '/' || c == '?' || c == '#' || c == '"' || c == '\'' || c == '<' || c == '>')
            return;
        if (c == ':' && password == 0)
            password = i + 1;
        if (c == '@') {
            if (password > 0)
                found(scan, SECRET, "url_password", password, i);
            return;
        }
    }
}

/* The end of a token of a Telegram bot (`<8 to 10 digits>:<35 signs>`) at a place, or that place. */
static size_t telegram(const struct scan *scan, size_t start)
{
    size_t at = start;
    while (at - start < 11 && is_digit(byte_at(scan, at)))
        at++;
    if (at - start < 8 || at - start > 10 || byte_at(scan, at) != ':')
        return start;
    size_t end = at + 1;
    while (end - at <= 36 && is_token(byte_at(scan, end)))
        end++;
    return end - at - 1 == 35 ? end : start;
}

void find_secrets(struct scan *scan)
{
    size_t jwt_from = 0;
    for (size_t at = 0; at < scan->text.length; at++) {
        unsigned char c = byte_at(scan, at);
        const char *what = NULL;
        size_t end = at;
        if (c == '-' && (end = pem(scan, at)) > at) {
            what = "private_key";
        } else if (c == ':' && begins(scan, at, "://")) {
            in_url(scan, at);
        } else if (is_alnum(c) && !word_before(scan, at) && byte_before(scan, at) != '_') {
            end = service(scan, at, &what);
            if (end == at && is_digit(c) && (end = telegram(scan, at)) > at)
                what = "telegram_token";
            if (end == at && at >= jwt_from && begins(scan, at, "eyJ") && (end = jwt(scan, at, &jwt_from)) > at)
                what = "jwt";
        }
        if (what != NULL) {
            found(scan, SECRET, what, at, end);
            at = end - 1;
        }
    }
}
