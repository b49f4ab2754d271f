// What the client does. Each operation takes the visit (`peer`, `name()` and `uri()` that add the prefixes, `timeout`),
// and returns what it observed or throws.

import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

/** The answer came, and is not what the fixture promises; or it never came. */
export class BadAnswer extends Error {}

const METHOD_NOT_FOUND = -32601;

/** Pages; a list that goes on longer is taken to go round in circles. */
const FOLLOW_AT_MOST = 100;

function expect(condition, complaint) {
  if (!condition) throw new BadAnswer(complaint);
}

async function allPages({ peer }, method, member) {
  const items = [];
  let cursor;
  for (let pages = 1; pages <= FOLLOW_AT_MOST; pages++) {
    const result = await peer.page(method, cursor);
    expect(Array.isArray(result[member]), `${method} answered without ${member}`);
    items.push(...result[member]);
    cursor = result.nextCursor;
    if (cursor === undefined) return { items, pages };
  }
  throw new BadAnswer(`the list did not end within ${FOLLOW_AT_MOST} pages`);
}

function expectListed(listed, ...wanted) {
  const missing = wanted.filter((name) => !listed.includes(name));
  expect(missing.length === 0, `not listed: ${missing.join(', ')}; listed: ${listed.join(', ') || 'nothing'}`);
  expect(new Set(listed).size === listed.length, 'something is listed twice');
}

const textOf = ({ content }) =>
  content
    .filter(({ type }) => type === 'text')
    .map(({ text }) => text)
    .join('\n');

function bytesSeen(encoded) {
  const data = Buffer.from(encoded, 'base64');
  // Node skips what is not base64, and skipping is how damage goes unseen.
  expect(data.toString('base64') === encoded, 'the data is not base64');
  return { bytes: data.length, sha256: createHash('sha256').update(data).digest('hex') };
}

async function callForText(visit, name, args = {}, options) {
  const result = await visit.peer.callTool({ name: visit.name(name), arguments: args }, options);
  expect(!result.isError, `the tool ${visit.name(name)} failed: ${textOf(result)}`);
  return textOf(result);
}

async function offers(visit, name) {
  const { items } = await allPages(visit, 'tools/list', 'tools');
  return items.some((tool) => tool.name === visit.name(name));
}

// ---- the script ----------------------------------------------------------------------------------------------------

export const script = {
  async list_tools(visit) {
    const { items, pages } = await allPages(visit, 'tools/list', 'tools');
    const names = items.map(({ name }) => name);
    const wanted = ['test_simple_text', 'test_image_content', 'test_error_handling', 'test_tool_with_progress'];
    expectListed(names, ...wanted.map(visit.name));
    return { count: names.length, pages, names };
  },

  async call_simple_text(visit) {
    const text = await callForText(visit, 'test_simple_text');
    expect(text !== '', 'no text came back');
    return { text };
  },

  async call_image(visit) {
    const { content } = await visit.peer.callTool({ name: visit.name('test_image_content'), arguments: {} });
    const images = content.filter(({ type }) => type === 'image');
    expect(images.length === 1, 'not exactly one image came back');
    return { mimeType: images[0].mimeType, ...bytesSeen(images[0].data) };
  },

  async call_error(visit) {
    const result = await visit.peer.callTool({ name: visit.name('test_error_handling'), arguments: {} });
    expect(result.isError === true, 'the failure of the tool came back as a success');
    return { isError: true, text: textOf(result) };
  },

  async call_progress(visit) {
    const progress = [];
    const text = await callForText(
      visit,
      'test_tool_with_progress',
      {},
      {
        onprogress: (step) => progress.push([step.progress, step.total ?? null]),
      },
    );
    expect(progress.length > 0, 'no progress came');
    expect(
      progress.every(([value], i) => i === 0 || value > progress[i - 1][0]),
      `progress did not increase: ${JSON.stringify(progress)}`,
    );
    return { progress, text };
  },

  async list_resources(visit) {
    const { items, pages } = await allPages(visit, 'resources/list', 'resources');
    const uris = items.map(({ uri }) => uri);
    expectListed(uris, visit.uri('test://static-text'), visit.uri('test://static-binary'));
    return { count: uris.length, pages, uris };
  },

  async list_resource_templates(visit) {
    const { items, pages } = await allPages(visit, 'resources/templates/list', 'resourceTemplates');
    const uriTemplates = items.map(({ uriTemplate }) => uriTemplate);
    expectListed(uriTemplates, visit.uri('test://template/{id}/data'));
    return { count: uriTemplates.length, pages, uriTemplates };
  },

  async read_text(visit) {
    const { uri, mimeType, text } = await read(visit, 'test://static-text');
    expect(typeof text === 'string', 'the text resource is not text');
    return { uri, mimeType, text };
  },

  async read_binary(visit) {
    const { uri, mimeType, blob } = await read(visit, 'test://static-binary');
    expect(typeof blob === 'string', 'the binary resource is not binary');
    return { uri, mimeType, ...bytesSeen(blob) };
  },

  async read_template(visit) {
    const { uri, mimeType, text } = await read(visit, 'test://template/123/data');
    expect(typeof text === 'string', "the template's resource is not text");
    expect(text.includes('123'), "the id is not in the template's text");
    return { uri, mimeType, text };
  },

  async list_prompts(visit) {
    const { items, pages } = await allPages(visit, 'prompts/list', 'prompts');
    const names = items.map(({ name }) => name);
    expectListed(names, ...['test_simple_prompt', 'test_prompt_with_arguments'].map(visit.name));
    return { count: names.length, pages, names };
  },

  async get_prompt(visit) {
    const messages = spoken(await visit.peer.getPrompt({ name: visit.name('test_simple_prompt') }));
    expect(messages.length > 0, 'the prompt has no message');
    return { messages };
  },

  async get_prompt_with_arguments(visit) {
    const args = { arg1: 'hello', arg2: 'wörld' };
    const messages = spoken(await visit.peer.getPrompt({ name: visit.name('test_prompt_with_arguments'), arguments: args }));
    expect(
      Object.values(args).every((value) => messages.join('\n').includes(value)),
      `the arguments are not in ${JSON.stringify(messages)}`,
    );
    return { messages };
  },

  async complete(visit) {
    const ref = { type: 'ref/prompt', name: visit.name('test_prompt_with_arguments') };
    const { completion } = await visit.peer.complete({ ref, argument: { name: 'arg1', value: 'par' } });
    expect(Array.isArray(completion?.values), 'the completion has no values');
    return { values: completion.values, total: completion.total ?? null };
  },

  async unknown_tool(visit) {
    // The specification wants a protocol error; some servers answer with a result that says so.
    let result;
    try {
      result = await visit.peer.callTool({ name: visit.name('no_such_tool'), arguments: {} });
    } catch (error) {
      // A string is the SDK's own code: nobody answered.
      if (typeof error.code !== 'number') throw error;
      const { code, message, data } = error;
      return { error: { code, message, ...(data !== undefined && { data }) } };
    }
    expect(result.isError === true, 'a tool that does not exist was called with success');
    return { isError: true, text: textOf(result) };
  },

  /** Cancels a call once it is known to run, and goes on using the connection. */
  async cancel(visit) {
    // Not in the suite's contract. Elsewhere a call that lasts a tenth of a second must do.
    const tool = (await offers(visit, 'test_cancellation')) ? 'test_cancellation' : 'test_tool_with_progress';
    const token = randomUUID();
    const abort = new AbortController();
    let cancelled = false;
    try {
      await visit.peer.callTool(
        { name: visit.name(tool), arguments: tool === 'test_cancellation' ? { token } : {} },
        { signal: abort.signal, onprogress: () => abort.abort(new Error('no longer wanted')) },
      );
    } catch (error) {
      if (!abort.signal.aborted) throw error;
      cancelled = true;
    }
    const outcome = (await offers(visit, 'test_cancellation_outcome')) ? await outcomeOf(visit, token) : null;
    const text = await callForText(visit, 'test_simple_text');
    return { tool: visit.name(tool), cancelled, outcome, text };
  },
};

async function read({ peer, uri }, what) {
  const { contents } = await peer.readResource(uri(what));
  expect(contents.length === 1, 'not exactly one content came back');
  return contents[0];
}

const spoken = ({ messages }) => messages.map(({ content }) => (content.type === 'text' ? content.text : content.type));

/** The server must hear of it too. It may take a moment, and if it never does the operation times out. */
async function outcomeOf(visit, token) {
  const deadline = Date.now() + visit.timeout / 2;
  for (;;) {
    const outcome = await callForText(visit, 'test_cancellation_outcome', { token });
    if (outcome === 'cancelled') return outcome;
    expect(Date.now() < deadline, `the call was cancelled here, and on the server it is still ${outcome}`);
    await sleep(50);
  }
}

// ---- only on demand ------------------------------------------------------------------------------------------------

export const extra = {
  /** The server asks the user: in mid-call in the legacy era, by `input_required` in the modern one. */
  async elicit(visit) {
    const message = { message: 'Who is there?' };
    return (await offers(visit, 'test_elicitation'))
      ? beAsked(visit, 'test_elicitation', message, ['elicitation/create'])
      : beAsked(visit, 'test_input_required_result_elicitation', {}, ['elicitation/create']);
  },

  /** The server asks the client's model. */
  async sample(visit) {
    const prompt = { prompt: 'What is the capital of France?' };
    return (await offers(visit, 'test_sampling'))
      ? beAsked(visit, 'test_sampling', prompt, ['sampling/createMessage'])
      : beAsked(visit, 'test_input_required_result_sampling', {}, ['sampling/createMessage']);
  },

  /** The server asks, and asks again. */
  multi_round: (visit) =>
    beAsked(visit, 'test_input_required_result_multi_round', {}, ['elicitation/create', 'elicitation/create']),

  /** The server asks three things at once. */
  multiple_inputs: (visit) =>
    beAsked(visit, 'test_input_required_result_multiple_inputs', {}, [
      'elicitation/create',
      'roots/list',
      'sampling/createMessage',
    ]),

  /** Log messages of a call, after the client asked for them. */
  async log(visit) {
    visit.peer.logs.length = 0;
    const params = { name: visit.name('test_tool_with_logging'), arguments: {} };
    if (visit.peer.modern) params._meta = { 'io.modelcontextprotocol/logLevel': 'info' };
    else await visit.peer.setLogLevel('info');
    await visit.peer.callTool(params);
    expect(visit.peer.logs.length > 0, 'no log message came');
    return { messages: [...visit.peer.logs] };
  },

  /** The server says that its tools changed: on a listen stream, or on the legacy session's. */
  async list_changed(visit) {
    const { method } = await hear(visit, { tools: true }, 'test_trigger_tool_change');
    return { event: method };
  },

  /** The server says that a resource changed. */
  async resource_updated(visit) {
    const uri = visit.uri('test://watched-resource');
    const { method, params } = await hear(visit, { resource: uri }, 'test_trigger_resource_update');
    expect(params?.uri === uri, `the notification is about ${params?.uri}, not ${uri}`);
    const { text } = await read(visit, 'test://watched-resource');
    return { event: method, uri: params.uri, text };
  },

  /** Calls a tool that mirrors an argument in a header, with a value that no header can carry as it is. */
  async header(visit) {
    // By the SDK's own listing: it remembers from there which arguments to mirror.
    for (const { name, inputSchema } of await visit.peer.tools()) {
      for (const [key, schema] of Object.entries(inputSchema.properties ?? {})) {
        if (!name.startsWith(visit.name('')) || !('x-mcp-header' in schema) || schema.type !== 'string') continue;
        const result = await visit.peer.callTool({ name, arguments: { [key]: 'Zürich ' } });
        expect(!result.isError, `the tool failed: ${textOf(result)}`);
        return { tool: name, text: textOf(result) };
      }
    }
    throw new BadAnswer('no tool has a string property with x-mcp-header');
  },

  /** All that a server lists, whichever server it is. What it does not offer is null. */
  async survey(visit) {
    const names = async (method, member, key) => {
      try {
        return (await allPages(visit, method, member)).items.map((item) => item[key]);
      } catch (error) {
        if (error.code === METHOD_NOT_FOUND || error.code === 'CAPABILITY_NOT_SUPPORTED') return null;
        throw error;
      }
    };
    return {
      tools: await names('tools/list', 'tools', 'name'),
      resources: await names('resources/list', 'resources', 'uri'),
      uriTemplates: await names('resources/templates/list', 'resourceTemplates', 'uriTemplate'),
      prompts: await names('prompts/list', 'prompts', 'name'),
    };
  },

  /** The call that --call and --arguments describe. */
  async call(visit) {
    const { name, arguments: args } = visit.call;
    const {
      content,
      structuredContent,
      isError = false,
    } = await visit.peer.callTool({ name: visit.name(name), arguments: args });
    return { tool: visit.name(name), isError, content, ...(structuredContent !== undefined && { structuredContent }) };
  },

  /** With which headers and _meta a call arrives at the server (the TypeScript fixture's test_seen_request). */
  async seen_request(visit) {
    return JSON.parse(await callForText(visit, 'test_seen_request'));
  },
};

async function beAsked(visit, name, args, methods) {
  visit.peer.asked.length = 0;
  const text = await callForText(visit, name, args);
  const asked = [...visit.peer.asked];
  expect(
    JSON.stringify([...asked].sort()) === JSON.stringify(methods),
    `the server asked ${asked.join(', ') || 'nothing'}, not ${methods.join(', ')}`,
  );
  return { asked, text };
}

/** Triggers a change until the server tells of one: a legacy client's stream may open after its first calls. */
async function hear(visit, filter, trigger) {
  let heard;
  const arrived = new Promise((resolve) => {
    heard = resolve;
  });
  // A legacy session's stream carries whatever else changes.
  const wanted = filter.tools ? 'notifications/tools/list_changed' : 'notifications/resources/updated';
  const stop = await visit.peer.watch(filter, (change) => change.method === wanted && heard(change));
  const deadline = Date.now() + visit.timeout / 2;
  try {
    for (;;) {
      await callForText(visit, trigger);
      const notification = await Promise.race([arrived, sleep(500)]);
      if (notification) return notification;
      expect(Date.now() < deadline, 'no notification came');
    }
  } finally {
    await stop();
  }
}
