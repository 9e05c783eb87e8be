#undef NDEBUG
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "../src/moltrun.h"

extern const mr_step greet;

static mr_result given(const char *json) { return greet.run((mr_json){ json, strlen(json) }); }

int main(void) {
    assert(strcmp(given("{\"name\": \" Ana \"}").data, "{\"text\":\"Hello, Ana!\"}") == 0);
    assert(strcmp(given("{\"name\": \"\\\"\\u00fc\\ud83d\\ude00\\n\\\"\"}").data,
                  "{\"text\":\"Hello, \\\"ü😀\\u000a\\\"!\"}") == 0);
    assert(strcmp(given("{\"name\": \" \"}").code, "blank_name") == 0);
    puts("1 passed, 0 failed");
}
