// The two official SDKs behind one face. A peer has:
//
//   negotiated                            what connecting came to
//   modern                                whether that is the modern era
//   asked                                 the requests that the server made, in order: filled as they come
//   logs                                  the log messages, likewise
//   page(method, cursor)                  one page of a list
//   tools()                               all tools, by the SDK's own listing, which it remembers
//   callTool(params, options)             options: onprogress, signal
//   readResource(uri), getPrompt(params), complete(params), setLogLevel(level)
//   watch(filter, listener)               filter: { tools: true } or { resource: URI }; resolves to how to stop
//   close()

import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client';
import { StdioClientTransport as StdioV2 } from '@modelcontextprotocol/client/stdio';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport as SseV1 } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport as StdioV1 } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
  ResultSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';

const IDENTITY = { name: 'portolan-interop-typescript', version: '1.0.0' };
const CAPABILITIES = { sampling: {}, elicitation: {}, roots: {} };

export async function connectV2({ url, command, era, timeout }) {
  const mode = { modern: { pin: '2026-07-28' }, legacy: 'legacy', auto: 'auto' }[era];
  const client = new ClientV2(IDENTITY, { capabilities: CAPABILITIES, versionNegotiation: { mode } });
  const heard = new Heard();
  for (const [method, answer] of Object.entries(ANSWERS))
    client.setRequestHandler(method, (request) => heard.asked(method, answer(request)));
  client.setNotificationHandler('notifications/message', ({ params }) => heard.logged(params));
  client.setNotificationHandler('notifications/tools/list_changed', (notification) => heard.changed(notification));
  client.setNotificationHandler('notifications/resources/updated', (notification) => heard.changed(notification));

  const transport = url ? new HttpV2(url) : new StdioV2(child(command));
  await open(client, transport, timeout);
  const modern = client.getProtocolEra() === 'modern';
  // What the server answers is to be seen every time.
  const fresh = { timeout, cacheMode: 'refresh' };

  return {
    ...peer({ client, heard, modern, transport, version: client.getNegotiatedProtocolVersion(), timeout }),
    page: (method, cursor) => client.request({ method, params: cursor === undefined ? {} : { cursor } }, { timeout }),
    tools: async () => (await client.listTools({}, fresh)).tools,
    callTool: (params, options) => client.callTool(params, { timeout, ...options }),
    readResource: (uri) => client.readResource({ uri }, { ...fresh, cacheMode: 'bypass' }),
    watch: async ({ tools, resource }, listener) => {
      heard.listener = listener;
      if (!modern) return watchLegacy(client, resource, timeout);
      const filter = { ...(tools && { toolsListChanged: true }), ...(resource && { resourceSubscriptions: [resource] }) };
      const subscription = await client.listen(filter, { timeout });
      return () => subscription.close();
    },
  };
}

export async function connectV1({ url, sse, command, timeout }) {
  const client = new ClientV1(IDENTITY, { capabilities: CAPABILITIES });
  const heard = new Heard();
  const schemas = [CreateMessageRequestSchema, ElicitRequestSchema, ListRootsRequestSchema];
  for (const schema of schemas) {
    const method = schema.shape.method.value;
    client.setRequestHandler(schema, (request) => heard.asked(method, ANSWERS[method](request)));
  }
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => heard.logged(params));
  client.setNotificationHandler(ToolListChangedNotificationSchema, (notification) => heard.changed(notification));
  client.setNotificationHandler(ResourceUpdatedNotificationSchema, (notification) => heard.changed(notification));

  const transport = sse ? new SseV1(url) : url ? new HttpV1(url) : new StdioV1(child(command));
  let version = null;
  // The client hands the negotiated version to its transport and keeps no copy. (HTTP alone has the method.)
  const tell = transport.setProtocolVersion?.bind(transport);
  transport.setProtocolVersion = (negotiated) => {
    version = negotiated;
    tell?.(negotiated);
  };
  await open(client, transport, timeout);

  return {
    ...peer({ client, heard, modern: false, transport, version, timeout }),
    page: (method, cursor) =>
      client.request({ method, params: cursor === undefined ? {} : { cursor } }, ResultSchema, { timeout }),
    tools: async () => {
      const tools = [];
      let cursor;
      do {
        const page = await client.listTools({ cursor }, { timeout });
        tools.push(...page.tools);
        cursor = page.nextCursor;
      } while (cursor !== undefined);
      return tools;
    },
    callTool: (params, options) => client.callTool(params, undefined, { timeout, ...options }),
    readResource: (uri) => client.readResource({ uri }, { timeout }),
    watch: (filter, listener) => {
      heard.listener = listener;
      return watchLegacy(client, filter.resource, timeout);
    },
  };
}

/** Fails within the timeout, and then leaves no child process behind. */
async function open(client, transport, timeout) {
  try {
    await client.connect(transport, { timeout });
  } catch (error) {
    await transport.close();
    throw error;
  }
}

/** What both SDKs spell the same. */
function peer({ client, heard, modern, transport, version, timeout }) {
  return {
    modern,
    asked: heard.requests,
    logs: heard.logs,
    negotiated: {
      protocolVersion: version,
      era: modern ? 'modern' : 'legacy',
      serverInfo: client.getServerVersion()?.name ?? null,
      capabilities: client.getServerCapabilities() ?? {},
    },
    getPrompt: (params) => client.getPrompt(params, { timeout }),
    complete: (params) => client.complete(params, { timeout }),
    setLogLevel: (level) => client.setLoggingLevel(level, { timeout }),
    close: async () => {
      // A client that only closes leaves its session behind.
      if (!modern) await transport.terminateSession?.();
      await client.close();
    },
  };
}

/** In the legacy era lists tell of their changes unasked; only resources are subscribed to. */
async function watchLegacy(client, uri, timeout) {
  if (!uri) return () => {};
  await client.subscribeResource({ uri }, { timeout });
  return () => client.unsubscribeResource({ uri }, { timeout });
}

/** The whole environment: the SDKs would pass on little more than PATH. */
function child([program, ...args]) {
  return { command: program, args, env: { ...process.env }, stderr: 'inherit' };
}

class Heard {
  requests = [];
  logs = [];
  listener = () => {};

  asked(method, answer) {
    this.requests.push(method);
    return answer;
  }

  logged({ data }) {
    this.logs.push(typeof data === 'string' ? data : JSON.stringify(data));
  }

  changed(notification) {
    this.listener(notification);
  }
}

// ---- what we answer when the server asks ---------------------------------------------------------------------------

const ANSWERS = {
  'sampling/createMessage': () => ({
    role: 'assistant',
    content: { type: 'text', text: 'Paris' },
    model: 'none',
    stopReason: 'endTurn',
  }),
  'elicitation/create': ({ params }) => ({
    action: 'accept',
    content: Object.fromEntries(
      Object.entries(params.requestedSchema?.properties ?? {}).map(([key, schema]) => [key, acceptable(schema)]),
    ),
  }),
  'roots/list': () => ({ roots: [{ uri: 'file:///srv/data', name: 'data' }] }),
};

/** Some value that the form allows. */
function acceptable(schema) {
  if (schema.default !== undefined) return schema.default;
  const choices = schema.enum ?? (schema.oneOf ?? schema.anyOf)?.map((choice) => choice.const);
  if (choices) return choices[0];
  switch (schema.type) {
    case 'boolean':
      return true;
    case 'integer':
    case 'number':
      return schema.minimum ?? 1;
    case 'array':
      return [acceptable(schema.items ?? {})];
    default:
      return 'Ada';
  }
}
