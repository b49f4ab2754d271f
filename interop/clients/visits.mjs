// Visits to many servers at once with the TypeScript SDKs, for `interop/works-through`.
//
//   node clients/visits.mjs ts1|ts2|ts2-auto JOBS.json [AT-ONCE]
//
// JOBS.json is a list of { id, transport, url | command, steps, plain }; the steps are those of servers/odd/case.py.
// Prints { id, era, seen: [{ ok, seen } | { ok, error }] } for each, one a line. ../python/visiting.py does the same.

import { Client as ClientV2, SSEClientTransport as SseV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client';
import { StdioClientTransport as StdioV2 } from '@modelcontextprotocol/client/stdio';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport as SseV1 } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport as StdioV1 } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import * as v1 from '@modelcontextprotocol/sdk/types.js';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const [kind, file, atOnce = '10'] = process.argv.slice(2);
const PATIENCE = 15_000; // for one step
const PAGES = 20; // a list that goes on longer goes round in circles
const CAPABILITIES = { sampling: {}, elicitation: {}, roots: { listChanged: true } };
const CHANGES = ['tools/list_changed', 'prompts/list_changed', 'resources/list_changed', 'resources/updated'];
const ANSWERS = {
  'sampling/createMessage': { role: 'assistant', content: { type: 'text', text: 'Paris' }, model: 'none', stopReason: 'endTurn' },
  'elicitation/create': { action: 'accept', content: { name: 'Ada' } },
  'roots/list': { roots: [{ uri: 'file:///srv/data', name: 'data' }] },
};
const V1_REQUESTS = [v1.CreateMessageRequestSchema, v1.ElicitRequestSchema, v1.ListRootsRequestSchema];
const V1_CHANGES = [
  v1.ToolListChangedNotificationSchema,
  v1.PromptListChangedNotificationSchema,
  v1.ResourceListChangedNotificationSchema,
  v1.ResourceUpdatedNotificationSchema,
];

class Visit {
  asked = [];
  logs = [];
  heard = [];

  constructor(job) {
    this.job = job;
  }

  async connect() {
    const { transport, url, command, plain } = this.job;
    const one = kind === 'ts1';
    const options = { capabilities: plain ? {} : CAPABILITIES };
    // No check of results against the schemas of tools: it says nothing about the gateway.
    if (!one) options.versionNegotiation = { mode: kind === 'ts2-auto' ? 'auto' : 'legacy' };
    const identity = { name: 'portolan-visits', version: '1.0.0' };
    this.client = one ? new ClientV1(identity, options) : new ClientV2(identity, options);
    this.client.onerror = () => {};
    this.#listen(one, plain);
    const child = command && { command: command[0], args: command.slice(1), stderr: 'ignore' };
    const [Http, Sse, Stdio] = one ? [HttpV1, SseV1, StdioV1] : [HttpV2, SseV2, StdioV2];
    this.transport =
      transport === 'stdio' ? new Stdio(child) : transport === 'sse' ? new Sse(new URL(url)) : new Http(new URL(url));
    await this.client.connect(this.transport, { timeout: PATIENCE });
    this.modern = !one && this.client.getProtocolEra() === 'modern';
  }

  #listen(one, plain) {
    const answer = (method) => () => {
      this.asked.push(method);
      return ANSWERS[method];
    };
    const changed = (note) => this.heard.push(note.method);
    const logged = (note) => this.logs.push(note.params.data);
    if (one) {
      if (!plain) for (const schema of V1_REQUESTS) this.client.setRequestHandler(schema, answer(schema.shape.method.value));
      for (const schema of V1_CHANGES) this.client.setNotificationHandler(schema, changed);
      this.client.setNotificationHandler(v1.LoggingMessageNotificationSchema, logged);
    } else {
      if (!plain) for (const method of Object.keys(ANSWERS)) this.client.setRequestHandler(method, answer(method));
      for (const method of CHANGES) this.client.setNotificationHandler(`notifications/${method}`, changed);
      this.client.setNotificationHandler('notifications/message', logged);
    }
  }

  async close() {
    try {
      if (!this.modern) await this.transport.terminateSession?.();
    } catch {
      // Some servers refuse it.
    }
    await this.client.close();
  }

  request(method, params) {
    const arguments_ = [{ method, params }];
    if (kind === 'ts1') arguments_.push(v1.ResultSchema);
    return this.client.request(...arguments_, { timeout: PATIENCE });
  }

  /** All pages by the SDK's own method, which checks what comes. */
  async list(method, member) {
    const items = [];
    let cursor;
    for (let page = 0; page < PAGES; page += 1) {
      const got = await this.client[method](cursor === undefined ? {} : { cursor }, { timeout: PATIENCE, cacheMode: 'bypass' });
      items.push(...got[member]);
      // Version 2 goes through all pages by itself.
      if (got.nextCursor === undefined || kind !== 'ts1') return items;
      cursor = got.nextCursor;
    }
    throw new Error('the list does not end');
  }

  call(params, options = {}) {
    const rest = [{ timeout: PATIENCE, ...options }];
    // In the modern era each call says whether it wants to be told.
    if (this.modern && this.job.steps.some((step) => step.do === 'logs'))
      params = { ...params, _meta: { 'io.modelcontextprotocol/logLevel': 'info' } };
    return this.client.callTool(params, ...(kind === 'ts1' ? [undefined, ...rest] : rest));
  }
}

const STEPS = {
  tools: async (visit, { whole }) => {
    const listed = await visit.list('listTools', 'tools');
    return whole ? listed : listed.map((tool) => tool.name);
  },
  call: async (visit, { name, arguments: given, until }) => {
    for (let left = 20; ; left -= 1) {
      const result = shown(await visit.call({ name, arguments: given }));
      if (until === undefined || left === 0 || result.content[0].text === until) return result;
      await sleep(250);
    }
  },
  progress: async (visit, { name }) => {
    const came = [];
    const result = await visit.call({ name, arguments: {} }, { onprogress: (step) => came.push(step) });
    return { came, result: shown(result) };
  },
  read: (visit, { uri }) => visit.client.readResource({ uri }, { timeout: PATIENCE, cacheMode: 'bypass' }),
  resources: async (visit) => (await visit.list('listResources', 'resources')).map((resource) => resource.uri),
  templates: async (visit) =>
    (await visit.list('listResourceTemplates', 'resourceTemplates')).map((template) => template.uriTemplate),
  prompts: async (visit) => (await visit.list('listPrompts', 'prompts')).map(({ name, arguments: of }) => ({ name, of })),
  prompt: (visit, { name, arguments: given }) => visit.client.getPrompt({ name, arguments: given }, { timeout: PATIENCE }),
  complete: async (visit) => {
    const params = { ref: { type: 'ref/prompt', name: 'greet' }, argument: { name: 'who', value: 'a' } };
    return (await visit.client.complete(params, { timeout: PATIENCE })).completion.values;
  },
  ping: async (visit) => {
    if (!visit.modern) await visit.client.ping({ timeout: PATIENCE });
    return {};
  },
  instructions: (visit) => visit.client.getInstructions() ?? null,
  roots_changed: async (visit) => {
    if (visit.modern) throw new Inapplicable('nobody is told in this era');
    await visit.client.sendRootsListChanged();
    return {};
  },
  level: async (visit) => {
    if (visit.modern) throw new Inapplicable('a call says it in this era');
    await visit.client.setLoggingLevel('info', { timeout: PATIENCE });
    return {};
  },
  logs: async (visit) => {
    await until(() => visit.logs.length > 0);
    return visit.logs.splice(0);
  },
  asked: (visit) => visit.asked.splice(0),
  hears: async (visit, { kind: what, name, uri }) => {
    const wanted = `notifications/${what === 'resource' ? 'resources/updated' : `${what}/list_changed`}`;
    let listening;
    if (visit.modern) {
      const filter = what === 'resource' ? { resourceSubscriptions: [uri] } : { [`${what}ListChanged`]: true };
      listening = await visit.client.listen(filter, { timeout: PATIENCE });
    } else if (uri) {
      await visit.client.subscribeResource({ uri }, { timeout: PATIENCE });
    }
    try {
      for (let left = 12; left > 0; left -= 1) {
        await visit.call({ name, arguments: {} });
        if (await until(() => visit.heard.includes(wanted), 500, false)) return wanted;
      }
    } finally {
      await listening?.close();
    }
    throw new Error(`${wanted} did not come`);
  },
  reconnect: async (visit) => {
    await visit.close();
    await visit.connect();
    return {};
  },
};

class Inapplicable extends Error {}

async function until(true_, patience = 5000, must = true) {
  for (const end = Date.now() + patience; Date.now() < end; await sleep(20)) if (true_()) return true;
  if (must) throw new Error('it did not come');
  return false;
}

/** What a tool's result is, without what an SDK may add. */
function shown({ content, isError, structuredContent, ...rest }) {
  return { content, isError: isError ?? false, structuredContent, ...rest };
}

function within(promise, patience = PATIENCE + 2000) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done within ${patience / 1000} s`)), patience);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function described(error) {
  const message = `${error?.message ?? error}`.replace(/^MCP error [^:]*: /, '');
  return { ...(error?.code !== undefined && { code: error.code }), message: message.slice(0, 600) };
}

async function go(job) {
  const visit = new Visit(job);
  const seen = [];
  const attempt = async (run) => {
    try {
      const got = await within(run());
      seen.push({ ok: true, seen: got ?? null });
      return true;
    } catch (error) {
      const inapplicable = error instanceof Inapplicable;
      seen.push(inapplicable ? { ok: true, seen: {}, inapplicable } : { ok: false, error: described(error) });
      return inapplicable;
    }
  };
  if (await attempt(async () => void (await visit.connect())))
    for (const step of job.steps) {
      const done = await attempt(() => STEPS[step.do](visit, step));
      if (!done && step.do === 'reconnect') break;
    }
  await within(visit.close(), 4000).catch(() => {});
  console.log(JSON.stringify({ id: job.id, era: visit.modern ? 'modern' : 'legacy', seen }));
}

process.on('unhandledRejection', () => {}); // of a server's odd manner in the background
process.on('uncaughtException', (error) => console.error(error));
const jobs = JSON.parse(readFileSync(file, 'utf8'));
await Promise.all(
  Array.from({ length: Number(atOnce) }, async () => {
    for (let job = jobs.shift(); job; job = jobs.shift()) await go(job);
  }),
);
process.exit(0);
