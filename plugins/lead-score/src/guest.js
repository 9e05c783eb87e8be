// The component's exports.

import { BadInput, score } from "./score.js";
import { input, output } from "./schemas.js";

export const guest = {
  describe() {
    return {
      version: "1.0.0",
      steps: [
        {
          name: "score",
          summary: "scores an object by rules with weights, with reasons; ports hot, warm and cold",
          effect: "pure",
          inputSchema: JSON.stringify(input),
          outputSchema: JSON.stringify(output),
          ports: ["hot", "warm", "cold"],
        },
      ],
      hosts: [],
      secrets: [],
    };
  },

  run(step, text) {
    const fail = (code, message) => ({ tag: "permanent", val: { code, message, details: null } });
    if (step !== "score") throw fail("unknown_step", `there is no step \`${step}\`; this plugin has score`);
    try {
      const result = score(JSON.parse(text));
      return { data: JSON.stringify(result), port: result.grade };
    } catch (error) {
      // Anything else is a fault of the plugin: the host reports it as one.
      if (error instanceof BadInput) throw fail("bad_input", error.message);
      throw error;
    }
  },
};
