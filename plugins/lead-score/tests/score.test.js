import assert from "node:assert/strict";
import { test } from "node:test";

import { guest } from "../src/guest.js";
import { score } from "../src/score.js";

const lead = {
  name: "Ana",
  country: "ES",
  budget: "12000",
  employees: 40,
  tags: ["Trial", "newsletter"],
  company: { size: 250, name: "" },
  optedOut: false,
};

function holds(rule) {
  return score({ lead, rules: [{ weight: 1, ...rule }] }).reasons.length === 1;
}

test("each test of a rule", () => {
  for (const [rule, expected] of [
    [{ field: "name" }, true],
    [{ field: "company.name" }, false],
    [{ field: "optedOut" }, false],
    [{ field: "nothing.at.all" }, false],
    [{ field: "constructor" }, false],
    [{ field: "tags.0", equals: "trial" }, true],
    [{ field: "country", equals: " es " }, true],
    [{ field: "optedOut", equals: false }, true],
    [{ field: "employees", equals: "40" }, false],
    [{ field: "country", one_of: ["PT", "ES"] }, true],
    [{ field: "country", one_of: [] }, false],
    [{ field: "budget", at_least: 10000 }, true],
    [{ field: "budget", at_most: 10000 }, false],
    [{ field: "name", at_least: 0 }, false],
    [{ field: "company.size", at_least: 100, at_most: 250 }, true],
    [{ field: "company.size", at_least: 100, at_most: 249 }, false],
    [{ field: "tags", contains: "NEWSLETTER" }, true],
    [{ field: "tags", contains: "news" }, false],
    [{ field: "name", contains: "n" }, true],
    [{ field: "name", starts_with: "an" }, true],
    [{ field: "name", ends_with: "an" }, false],
    [{ field: "employees", starts_with: "4" }, false],
    [{ field: "company.name", exists: false }, true],
    [{ field: "name", exists: true }, true],
  ]) {
    assert.equal(holds(rule), expected, JSON.stringify(rule));
  }
});

test("weights add up, and reasons explain them", () => {
  const rules = [
    { field: "employees", at_least: 10, weight: 20 },
    { field: "budget", at_least: 10000, weight: 40.5, because: "can pay" },
    { field: "tags", contains: "trial", weight: -5 },
    { field: "country", equals: "DE", weight: 10 },
  ];
  assert.deepEqual(score({ lead, rules, base: 1 }), {
    score: 56.5,
    grade: "warm",
    reasons: [
      { reason: "can pay", weight: 40.5 },
      { reason: "employees is at least 10", weight: 20 },
      { reason: "tags contains trial", weight: -5 },
    ],
    missed: [{ reason: "country is DE", weight: 10 }],
  });
  const tenths = Array.from({ length: 3 }, () => ({ field: "name", weight: 0.1 }));
  assert.equal(score({ lead, rules: tenths }).score, 0.3);
});

test("a reason shows whole characters", () => {
  const name = "\u{1f600}";
  for (const [wanted, shown] of [
    [name.repeat(60), name.repeat(60)],
    [name.repeat(61), `${name.repeat(60)}…`],
    [`a${name.repeat(500)}`, `a${name.repeat(59)}…`],
    ["a".repeat(61), `${"a".repeat(60)}…`],
  ]) {
    const { missed } = score({ lead, rules: [{ field: "name", equals: wanted, weight: 1 }] });
    assert.deepEqual(missed, [{ reason: `name is ${shown}`, weight: 1 }]);
  }
});

test("thresholds are inclusive", () => {
  for (const [weight, grade] of [[70, "hot"], [69.9, "warm"], [30, "warm"], [29.9, "cold"], [-1, "cold"]]) {
    assert.equal(score({ lead, rules: [{ field: "name", weight }] }).grade, grade);
  }
});

test("the guest answers in the words of the interface", () => {
  const [step] = guest.describe().steps;
  assert.equal(JSON.parse(step.inputSchema).additionalProperties, false);
  const input = JSON.stringify({ lead, rules: [{ field: "name", weight: 100 }] });
  const { data, port } = guest.run("score", input);
  assert.deepEqual([port, JSON.parse(data).score], ["hot", 100]);
  const thrown = (step, input) => {
    try {
      guest.run(step, JSON.stringify(input));
    } catch (error) {
      return [error.tag, error.val.code, error.val.message];
    }
    return "nothing";
  };
  const rules = [{ field: "name", weight: 1 }];
  assert.deepEqual(thrown("score", { lead, rules, hot: 1, warm: 2 }), ["permanent", "bad_input", "`warm` (2) must be less than `hot` (1)"]);
  assert.deepEqual(thrown("other", {})[1], "unknown_step");
});
