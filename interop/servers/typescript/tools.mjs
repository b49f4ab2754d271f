// The tools, in the order in which they are listed. Each is plain data: a name, JSON Schemas, and `run(args, ctx, scene)`
// where `scene` is `{ world, clientCapabilities(ctx) }`.
//
// Whoever needs the client's input returns `inputRequired`. To a modern client that is the result; for a legacy one the
// SDK sends the requests and runs the tool again with the answers. So every such tool works in both eras.
//
// Two rules come from the suite: its header checks call the first tool in the list without arguments, and the first
// that has an `x-mcp-header` must have it on a string.

import { setTimeout as sleep } from 'node:timers/promises';

import { acceptedContent, fromJsonSchema, inputRequired, inputResponse } from '@modelcontextprotocol/server';

import { WATCHED_URI } from './resources.mjs';
import { PNG, WAV } from './samples.mjs';

/** Listed only while the world says so; `test_trigger_tool_change` flips it. */
export const EXTRA_TOOL = 'test_extra_tool';

// ---- results and requests ------------------------------------------------------------------------------------------

const text = (value) => ({ content: [{ type: 'text', text: value }] });
const image = { type: 'image', data: PNG, mimeType: 'image/png' };
const embedded = (uri, mimeType, value) => ({ type: 'resource', resource: { uri, mimeType, text: value } });

const object = (properties, required = Object.keys(properties)) => ({ type: 'object', properties, required });
const string = { type: 'string' };

const askUser = (message, properties, required) =>
  inputRequired.elicit({ message, requestedSchema: object(properties, required) });
const askModel = (prompt, maxTokens) =>
  inputRequired.createMessage({ messages: [{ role: 'user', content: { type: 'text', text: prompt } }], maxTokens });
const askRoots = () => inputRequired.listRoots();

const NAME = () => askUser('What is your name?', { name: string });
const CAPITAL = () => askModel('What is the capital of France?', 100);

const answerTo = (ctx, key) => inputResponse(ctx.mcpReq.inputResponses, key);
const ask = (inputRequests, requestState) => inputRequired({ inputRequests, requestState });

/** The text of an accepted form field, or nothing if there is no usable answer yet. */
function field(ctx, key, name) {
  const value = acceptedContent(ctx.mcpReq.inputResponses, key)?.[name];
  return typeof value === 'string' ? value : undefined;
}

const sampled = ({ result }) =>
  [result.content]
    .flat()
    .map((block) => block.text ?? `(${block.type})`)
    .join(' ');
const described = ({ action, content }) => `action=${action}, content=${JSON.stringify(content ?? {})}`;

/** A tool that asks one form and reports what came back. */
const form = (prefix, key, request) => (args, ctx) => {
  const answer = answerTo(ctx, key);
  return answer.kind === 'elicit' ? text(`${prefix}: ${described(answer)}`) : ask({ [key]: request(args) });
};

async function progress(ctx, value, total) {
  const progressToken = ctx.mcpReq._meta?.progressToken;
  if (progressToken === undefined) return;
  await ctx.mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress: value, total } });
}

// ---- the suite's tools ---------------------------------------------------------------------------------------------

const contents = [
  {
    name: 'test_simple_text',
    description: 'Returns a text',
    run: () => text('This is a simple text response for testing.'),
  },
  {
    name: 'test_image_content',
    description: 'Returns an image',
    run: () => ({ content: [image] }),
  },
  {
    name: 'test_audio_content',
    description: 'Returns a sound',
    run: () => ({ content: [{ type: 'audio', data: WAV, mimeType: 'audio/wav' }] }),
  },
  {
    name: 'test_embedded_resource',
    description: 'Returns an embedded resource',
    run: () => ({ content: [embedded('test://embedded-resource', 'text/plain', 'This is an embedded resource content.')] }),
  },
  {
    name: 'test_multiple_content_types',
    description: 'Returns a text, an image and an embedded resource',
    run: () => ({
      content: [
        { type: 'text', text: 'Multiple content types test:' },
        image,
        embedded('test://mixed-content-resource', 'application/json', JSON.stringify({ test: 'data', value: 123 })),
      ],
    }),
  },
  {
    name: 'test_error_handling',
    description: 'Always fails',
    run: () => {
      throw new Error('This tool intentionally returns an error for testing');
    },
  },
];

const streaming = [
  {
    name: 'test_tool_with_progress',
    description: 'Reports progress 0, 50 and 100 of 100',
    run: async (_args, ctx) => {
      await progress(ctx, 0, 100);
      await sleep(50);
      await progress(ctx, 50, 100);
      await sleep(50);
      await progress(ctx, 100, 100);
      return text('Progress was reported.');
    },
  },
  {
    name: 'test_tool_with_logging',
    description: 'Logs three messages while it runs',
    run: async (_args, ctx) => {
      await ctx.mcpReq.log('info', 'Tool execution started');
      await sleep(50);
      await ctx.mcpReq.log('info', 'Tool processing data');
      await sleep(50);
      await ctx.mcpReq.log('info', 'Tool execution completed');
      return text('Three messages were logged.');
    },
  },
  {
    name: 'test_logging_tool',
    description: 'Logs once, to clients that asked for logs',
    run: async (_args, ctx) => {
      await ctx.mcpReq.log('info', 'Only for those who asked');
      return text('Logged, if you asked for it.');
    },
  },
  {
    name: 'test_reconnection',
    description: 'Closes its event stream in mid-call; the result waits for the client to come back (2025 era)',
    run: async (_args, ctx) => {
      ctx.http?.closeSSE?.();
      await sleep(100);
      return text('Reconnected.');
    },
  },
];

const asking = [
  {
    name: 'test_sampling',
    description: "Passes a prompt to the client's model",
    schema: object({ prompt: string }),
    run: ({ prompt }, ctx) => {
      const answer = answerTo(ctx, 'sampling');
      return answer.kind === 'sampling' ? text(`LLM response: ${sampled(answer)}`) : ask({ sampling: askModel(prompt, 100) });
    },
  },
  {
    name: 'test_elicitation',
    description: 'Asks the user for a name and an address',
    schema: object({ message: string }),
    run: form('User response', 'user', ({ message }) =>
      askUser(message, {
        username: { type: 'string', description: "User's response" },
        email: { type: 'string', description: "User's email address" },
      }),
    ),
  },
  {
    name: 'test_elicitation_sep1034_defaults',
    description: 'Asks for a form with a default for each primitive type',
    run: form('Elicitation completed', 'defaults', () =>
      askUser(
        'Please review the defaults',
        {
          name: { type: 'string', default: 'John Doe' },
          age: { type: 'integer', default: 30 },
          score: { type: 'number', default: 95.5 },
          status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
          verified: { type: 'boolean', default: true },
        },
        [],
      ),
    ),
  },
  {
    name: 'test_elicitation_sep1330_enums',
    description: 'Asks for a form with each of the five kinds of choice',
    run: form('Elicitation completed', 'choices', () =>
      askUser(
        'Please choose',
        {
          untitledSingle: { type: 'string', enum: ['option1', 'option2', 'option3'] },
          titledSingle: { type: 'string', oneOf: titled('Option') },
          legacyEnum: {
            type: 'string',
            enum: ['opt1', 'opt2', 'opt3'],
            enumNames: ['Option One', 'Option Two', 'Option Three'],
          },
          untitledMulti: { type: 'array', items: { type: 'string', enum: ['option1', 'option2', 'option3'] } },
          titledMulti: { type: 'array', items: { anyOf: titled('Choice') } },
        },
        [],
      ),
    ),
  },
  {
    name: 'test_streaming_elicitation',
    description: 'Needs the user, who may only be asked in the result',
    run: form('User response', 'user_name', NAME),
  },
  {
    name: 'test_missing_capability',
    description: 'Cannot run unless the client declares sampling',
    run: (_args, ctx) => {
      const answer = answerTo(ctx, 'capital_question');
      return answer.kind === 'sampling' ? text(sampled(answer)) : ask({ capital_question: CAPITAL() });
    },
  },
];

function titled(noun) {
  return ['First', 'Second', 'Third'].map((ordinal, i) => ({ const: `value${i + 1}`, title: `${ordinal} ${noun}` }));
}

const rounds = [
  {
    name: 'test_input_required_result_elicitation',
    description: 'Asks for a name, then greets',
    run: (_args, ctx) => {
      const name = field(ctx, 'user_name', 'name');
      return name === undefined ? ask({ user_name: NAME() }) : text(`Hello, ${name}!`);
    },
  },
  {
    name: 'test_input_required_result_sampling',
    description: 'Asks the model one question',
    run: (_args, ctx) => {
      const answer = answerTo(ctx, 'capital_question');
      return answer.kind === 'sampling' ? text(sampled(answer)) : ask({ capital_question: CAPITAL() });
    },
  },
  {
    name: 'test_input_required_result_list_roots',
    description: "Asks for the client's roots",
    run: (_args, ctx) => {
      const answer = answerTo(ctx, 'client_roots');
      if (answer.kind !== 'roots') return ask({ client_roots: askRoots() });
      return text(`Roots: ${answer.roots.map((root) => root.uri).join(', ')}`);
    },
  },
  {
    name: 'test_input_required_result_request_state',
    description: 'Asks for a confirmation and wants its state back',
    run: confirmed('state-ok'),
  },
  {
    name: 'test_input_required_result_tampered_state',
    description: 'Asks for a confirmation and refuses a state that was changed',
    run: confirmed('The state is intact.'),
  },
  {
    name: 'test_input_required_result_multiple_inputs',
    description: 'Asks for a name, a greeting and the roots at once',
    run: async (_args, ctx, { world }) => {
      const name = field(ctx, 'user_name', 'name');
      const greeting = answerTo(ctx, 'greeting');
      const roots = answerTo(ctx, 'client_roots');
      if (name !== undefined && greeting.kind === 'sampling' && roots.kind === 'roots') {
        return text(`${sampled(greeting)} ${name}, you have ${roots.roots.length} root(s).`);
      }
      return ask(
        { user_name: NAME(), greeting: askModel('Generate a greeting', 50), client_roots: askRoots() },
        await world.states.mint({ asked: 'all' }, ctx),
      );
    },
  },
  {
    name: 'test_input_required_result_multi_round',
    description: 'Asks for a name, then for a colour, and remembers both in its state',
    run: async (_args, ctx, { world }) => {
      const state = ctx.mcpReq.requestState() ?? { step: 1 };
      const name = state.step === 1 ? field(ctx, 'step1', 'name') : state.name;
      if (name === undefined) {
        return ask({ step1: askUser('Step 1: What is your name?', { name: string }) }, await world.states.mint({ step: 1 }, ctx));
      }
      const color = field(ctx, 'step2', 'color');
      if (state.step === 1 || color === undefined) {
        return ask(
          { step2: askUser('Step 2: What is your favorite color?', { color: string }) },
          await world.states.mint({ step: 2, name }, ctx),
        );
      }
      return text(`${name} likes ${color}.`);
    },
  },
  {
    name: 'test_input_required_result_capabilities',
    description: 'Asks only for what the client says it can do',
    run: (_args, ctx, { clientCapabilities }) => {
      if (Object.keys(ctx.mcpReq.inputResponses ?? {}).length > 0) return text('Thank you.');
      const { sampling, elicitation, roots } = clientCapabilities(ctx);
      const requests = {
        ...(sampling && { capital_question: CAPITAL() }),
        ...(elicitation && { user_name: NAME() }),
        ...(roots && { client_roots: askRoots() }),
      };
      return Object.keys(requests).length > 0 ? ask(requests) : text('There is nothing I may ask of you.');
    },
  },
];

function confirmed(done) {
  return async (_args, ctx, { world }) => {
    // A state that fails its seal never gets here: the SDK has asked `requestState.verify` and refused it.
    const genuine = ctx.mcpReq.requestState()?.asked === 'confirm';
    if (genuine && answerTo(ctx, 'confirm').kind === 'elicit') return text(done);
    return ask(
      { confirm: askUser('Please confirm', { ok: { type: 'boolean' } }) },
      await world.states.mint({ asked: 'confirm' }, ctx),
    );
  };
}

const changing = [
  {
    name: 'test_trigger_tool_change',
    description: `Adds ${EXTRA_TOOL} to the list, or takes it away`,
    run: (_args, _ctx, { world }) => {
      world.toggleTool();
      return text(`${EXTRA_TOOL} is ${world.extraTool ? 'listed' : 'gone'}.`);
    },
  },
  {
    name: 'test_trigger_prompt_change',
    description: 'Adds a prompt to the list, or takes it away',
    run: (_args, _ctx, { world }) => {
      world.togglePrompt();
      return text(`The extra prompt is ${world.extraPrompt ? 'listed' : 'gone'}.`);
    },
  },
];

const schemas = [
  {
    // The schema, word for word, is the suite's contract: it looks for each of these keywords in the listing.
    name: 'json_schema_2020_12_tool',
    description: 'Tool with JSON Schema 2020-12 features',
    schema: {
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      type: 'object',
      $defs: {
        address: { $anchor: 'addressDef', type: 'object', properties: { street: string, city: string } },
      },
      properties: {
        name: string,
        address: { $ref: '#/$defs/address' },
        contactMethod: { type: 'string', enum: ['phone', 'email'] },
        phone: string,
        email: string,
      },
      allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
      if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
      then: { required: ['phone'] },
      else: { required: ['email'] },
      additionalProperties: false,
    },
    run: (args) => text(JSON.stringify(args)),
  },
  {
    name: 'test_header_parameter',
    description: 'Has an argument that modern clients repeat in the header Mcp-Param-Region',
    schema: object({ region: { type: 'string', description: 'Any region', 'x-mcp-header': 'Region' } }, []),
    run: ({ region }) => text(`Region: ${region ?? '(none)'}`),
  },
];

// ---- our own -------------------------------------------------------------------------------------------------------

const probes = [
  {
    name: 'test_trigger_resource_update',
    description: `Changes ${WATCHED_URI}`,
    run: (_args, _ctx, { world }) => {
      world.touchResource(WATCHED_URI);
      return text(`Revision ${world.watchedRevision}`);
    },
  },
  {
    name: 'test_cancellation',
    description: 'Reports progress 0 of 1, then waits to be cancelled; with a token, test_cancellation_outcome tells if it was',
    schema: object({ seconds: { type: 'number', minimum: 0, maximum: 600 }, token: string }, []),
    run: async ({ seconds = 30, token }, ctx, { world }) => {
      world.waits.set(token, 'running');
      await progress(ctx, 0, 1);
      try {
        await sleep(seconds * 1000, undefined, { signal: ctx.mcpReq.signal });
      } catch (error) {
        world.waits.set(token, 'cancelled');
        throw error;
      }
      world.waits.set(token, 'finished');
      return text(`Not cancelled within ${seconds} seconds`);
    },
  },
  {
    name: 'test_cancellation_outcome',
    description: 'Says how the test_cancellation with that token fares',
    schema: object({ token: string }),
    output: object({ outcome: { type: 'string', enum: ['unknown', 'running', 'finished', 'cancelled'] } }),
    run: ({ token }, _ctx, { world }) => {
      const outcome = world.waits.get(token) ?? 'unknown';
      return { ...text(outcome), structuredContent: { outcome } };
    },
  },
  {
    name: 'test_seen_request',
    description: 'Shows the HTTP headers and the _meta with which this very call arrived',
    run: (_args, ctx) =>
      text(
        JSON.stringify({
          headers: ctx.http?.req ? Object.fromEntries(ctx.http.req.headers) : null,
          meta: ctx.mcpReq._meta ?? null,
          envelope: ctx.mcpReq.envelope ?? null,
        }),
      ),
  },
  {
    name: EXTRA_TOOL,
    description: 'A tool that comes and goes',
    run: () => text('I am here.'),
  },
];

// Compiled once: in the modern era every request registers these anew.
export const tools = [contents, streaming, asking, rounds, changing, schemas, probes].flat().map(prepare);

function prepare({ schema = object({}), output, ...tool }) {
  return {
    ...tool,
    inputSchema: fromJsonSchema(schema),
    ...(output && { outputSchema: fromJsonSchema(output) }),
    schemas: { inputSchema: schema, ...(output && { outputSchema: output }) },
  };
}
