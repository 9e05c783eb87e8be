import assert from 'node:assert/strict';
import { test } from 'node:test';

import { greet } from '../src/greet.js';

const host = { log() {} };

test('greets by name', () => {
  assert.deepEqual(greet.run({ name: ' Ana ' }, host), { text: 'Hello, Ana!' });
});

test('refuses a blank name', () => {
  assert.throws(() => greet.run({ name: ' ' }, host), { code: 'blank_name', kind: 'permanent' });
});
