// The schemas of the step `score`.

const scalar = { type: ["string", "number", "boolean", "null"] };
const text = { type: "string", minLength: 1, maxLength: 200 };

const rule = {
  type: "object",
  additionalProperties: false,
  required: ["field", "weight"],
  properties: {
    field: { ...text, description: "A field of the lead; a dot leads into it: company.size." },
    weight: { type: "number", minimum: -1e6, maximum: 1e6, description: "What it adds to the score if it holds; may be negative." },
    equals: { ...scalar, description: "In any case, for texts." },
    one_of: { type: "array", minItems: 1, maxItems: 100, items: scalar },
    at_least: { type: "number" },
    at_most: { type: "number" },
    contains: { type: ["string", "number"], description: "A part of a text, or one of a list." },
    starts_with: text,
    ends_with: text,
    exists: { type: "boolean", description: "Whether there is a value that is not empty." },
    because: { ...text, description: "The reason in your words." },
  },
};

export const input = {
  type: "object",
  additionalProperties: false,
  required: ["lead", "rules"],
  properties: {
    lead: { type: "object", description: "What is scored." },
    rules: { type: "array", minItems: 1, maxItems: 200, items: rule, description: "All tests of a rule must hold; without any the field must be there." },
    hot: { type: "number", default: 70, description: "From this score on the port is hot." },
    warm: { type: "number", default: 30, description: "From this score on the port is warm; below it is cold." },
    base: { type: "number", default: 0, description: "The score before any rule." },
  },
};

const reason = {
  type: "object",
  additionalProperties: false,
  required: ["reason", "weight"],
  properties: { reason: { type: "string" }, weight: { type: "number" } },
};

export const output = {
  type: "object",
  additionalProperties: false,
  required: ["score", "grade", "reasons", "missed"],
  properties: {
    score: { type: "number" },
    grade: { enum: ["hot", "warm", "cold"] },
    reasons: { type: "array", items: reason, description: "The rules that hold, the weightiest first." },
    missed: { type: "array", items: reason, description: "The rules that do not, in their order." },
  },
};
