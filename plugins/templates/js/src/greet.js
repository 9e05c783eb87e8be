// The step `greet`. It knows nothing of moltrun but `Failure`, so that tests run it as it is.
import { Failure } from './failure.js';

export const greet = {
  name: 'greet',
  summary: 'greets somebody by name',
  effect: 'pure',
  input: {
    type: 'object',
    additionalProperties: false,
    required: ['name'],
    properties: { name: { type: 'string', maxLength: 200, description: 'Whom to greet.' } },
  },
  output: {
    type: 'object',
    additionalProperties: false,
    required: ['text'],
    properties: { text: { type: 'string', description: 'The greeting.' } },
  },

  // `input` fits the schema above; what is returned has to fit the other one.
  run(input, { log }) {
    const name = input.name.trim();
    if (name === '') {
      throw new Failure('blank_name', 'the name is blank; give one');
    }
    log('debug', 'greeting', { length: name.length });
    return { text: `Hello, ${name}!` };
  },
};
