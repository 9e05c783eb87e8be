// The plugin: its version and its steps. A new step is declared here and listed.
#include "moltrun.h"

extern const mr_step greet;

const char *const mr_version = "0.1.0";
const mr_step *const mr_steps[] = { &greet, NULL };
