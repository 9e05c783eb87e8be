// How a step fails on purpose: `throw new Failure('code', 'what is wrong and what to do')`. Any other error is reported
// as `bug`.
//
// kind: 'permanent' (never retried), 'transient' (the workflow's retry policy decides), 'later' (with `afterMs`: tried
// again then, costs no attempt), 'unknown' (it may or may not have been done).
export class Failure extends Error {
  constructor(code, message, { kind = 'permanent', details, afterMs = 0 } = {}) {
    super(message);
    Object.assign(this, { code, kind, details, afterMs });
  }
}

// Leaves by another exit than `ok`: `return port('big', { text })`, for a step with `ports: ['big']`.
export class Exit {
  constructor(port, data) {
    Object.assign(this, { port, data });
  }
}

export const port = (name, data) => new Exit(name, data);
