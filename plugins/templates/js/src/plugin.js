// What moltrun calls: the steps below, behind the interface of wit/step.wit. New steps go into `steps`.
import * as context from 'moltrun:step/context@1.0.0';
import { write } from 'moltrun:step/log@1.0.0';

import { Exit, Failure } from './failure.js';
import { greet } from './greet.js';

const version = '0.1.0';
const steps = [greet];

const host = {
  context,
  log: (level, message, fields = {}) =>
    write(level, message, Object.entries(fields).map(([name, value]) => [name, String(value)])),
};

export const guest = {
  describe: () => ({
    version,
    steps: steps.map(({ name, summary, effect = 'pure', input, output, ports = [] }) => ({
      name,
      summary,
      effect,
      inputSchema: JSON.stringify(input),
      outputSchema: JSON.stringify(output),
      ports,
    })),
    hosts: [],
    secrets: [],
  }),

  run(name, input) {
    try {
      const result = steps.find((step) => step.name === name).run(JSON.parse(input), host);
      const exit = result instanceof Exit ? result : new Exit(undefined, result);
      return { data: JSON.stringify(exit.data), port: exit.port };
    } catch (error) {
      throw failed(error);
    }
  },
};

function failed(error) {
  if (!(error instanceof Failure)) {
    return { tag: 'permanent', val: { code: 'bug', message: String(error), details: undefined } };
  }
  const { code, message, kind, afterMs } = error;
  const details = error.details === undefined ? undefined : JSON.stringify(error.details);
  const failure = { code, message, details };
  return { tag: kind, val: kind === 'later' ? { failure, afterMs: BigInt(afterMs) } : failure };
}
