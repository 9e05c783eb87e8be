// How an object is scored: plain JavaScript, without the host (`node --test`).
//
// A rule looks at one field and has a weight, which counts if the rule holds. A rule without a test of its own holds if
// the field is there: not null, not empty, not false.

// The tests that a rule may have, each by what it compares and for what values it makes sense. A test of another kind of
// value does not hold; that is no error, since fields of people are what they are.
const TESTS = {
  equals: (value, wanted) => same(value, wanted),
  one_of: (value, wanted) => wanted.some((one) => same(value, one)),
  at_least: (value, wanted) => isNumber(value) && Number(value) >= wanted,
  at_most: (value, wanted) => isNumber(value) && Number(value) <= wanted,
  contains: (value, wanted) => holds(value, wanted),
  starts_with: (value, wanted) => typeof value === "string" && fold(value).startsWith(fold(wanted)),
  ends_with: (value, wanted) => typeof value === "string" && fold(value).endsWith(fold(wanted)),
  exists: (value, wanted) => isThere(value) === wanted,
};

const WORDS = {
  equals: (wanted) => `is ${show(wanted)}`,
  one_of: (wanted) => `is one of ${wanted.map(show).join(", ")}`,
  at_least: (wanted) => `is at least ${wanted}`,
  at_most: (wanted) => `is at most ${wanted}`,
  contains: (wanted) => `contains ${show(wanted)}`,
  starts_with: (wanted) => `starts with ${show(wanted)}`,
  ends_with: (wanted) => `ends with ${show(wanted)}`,
  exists: (wanted) => (wanted ? "is there" : "is not there"),
};

/// What is wrong with the input, beyond its schema.
export class BadInput extends Error {}

/// `{score, grade, reasons, missed}` for an object, rules and thresholds.
export function score({ lead, rules, hot = 70, warm = 30, base = 0 }) {
  if (!(warm < hot)) {
    throw new BadInput(`\`warm\` (${warm}) must be less than \`hot\` (${hot})`);
  }
  const [reasons, missed] = [[], []];
  let total = base;
  rules.forEach((rule, index) => {
    const reason = explain(rule, index);
    if (applies(rule, read(lead, rule.field))) {
      total += rule.weight;
      reasons.push({ reason, weight: rule.weight });
    } else {
      missed.push({ reason, weight: rule.weight });
    }
  });
  total = Math.round(total * 1e6) / 1e6;
  // What moved the score most comes first; of equals the one that was written first.
  reasons.sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight));
  const grade = total >= hot ? "hot" : total >= warm ? "warm" : "cold";
  return { score: total, grade, reasons, missed };
}

function applies(rule, value) {
  const tests = Object.keys(TESTS).filter((name) => rule[name] !== undefined);
  if (tests.length === 0) return isThere(value);
  return tests.every((name) => TESTS[name](value, rule[name]));
}

function explain(rule, index) {
  if (rule.because) return rule.because;
  const tests = Object.keys(TESTS).filter((name) => rule[name] !== undefined);
  const words = tests.map((name) => WORDS[name](rule[name]));
  if (!rule.field) throw new BadInput(`rule ${index + 1} has no field`);
  return `${rule.field} ${words.length === 0 ? "is there" : words.join(" and ")}`;
}

// The value at `company.size` or `tags.0`; undefined where there is none. Only what the object itself has: `constructor`
// is no field of anybody.
function read(value, path) {
  for (const part of path.split(".")) {
    if (value === null || typeof value !== "object" || !Object.hasOwn(value, part)) return undefined;
    value = value[part];
  }
  return value;
}

function isThere(value) {
  if (value === undefined || value === null || value === false || value === "") return false;
  return !(typeof value === "object" && Object.keys(value).length === 0);
}

function isNumber(value) {
  return typeof value === "number" || (typeof value === "string" && value.trim() !== "" && Number.isFinite(Number(value)));
}

function same(a, b) {
  return typeof a === "string" && typeof b === "string" ? fold(a) === fold(b) : a === b;
}

function holds(value, wanted) {
  if (Array.isArray(value)) return value.some((one) => same(one, wanted));
  return typeof value === "string" && fold(value).includes(fold(String(wanted)));
}

function fold(text) {
  return text.trim().toLowerCase();
}

function show(value) {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  // Characters and not halves of them: a text that is cut within one is no UTF-8.
  const characters = [...text.slice(0, 122)];
  return characters.length > 60 ? `${characters.slice(0, 60).join("")}…` : text;
}
