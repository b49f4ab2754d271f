// What the server offers, the same to both eras: the fixture that the conformance suite expects, and a few tools of our
// own (tools.mjs, last section) that let a test see what reached the server.

import { EventEmitter } from 'node:events';
import { randomBytes } from 'node:crypto';

import { createRequestStateCodec, McpServer, ProtocolError, ProtocolErrorCode } from '@modelcontextprotocol/server';

import { EXTRA_PROMPT, prompts } from './prompts.mjs';
import { registerResources } from './resources.mjs';
import { EXTRA_TOOL, tools } from './tools.mjs';

/** What outlives a server instance: one per process, shared by every request and session. */
export class World {
  extraTool = false;
  extraPrompt = false;
  watchedRevision = 1;
  /** How each `test_cancellation` fares, by its token. */
  waits = new Map();
  /** Seals `requestState`, so that a client that changes one is found out. */
  states = createRequestStateCodec({ key: randomBytes(32) });
  #changes = new EventEmitter().setMaxListeners(0);

  toggleTool() {
    this.extraTool = !this.extraTool;
    this.#changes.emit('tools');
  }

  togglePrompt() {
    this.extraPrompt = !this.extraPrompt;
    this.#changes.emit('prompts');
  }

  touchResource(uri) {
    this.watchedRevision += 1;
    this.#changes.emit('resource', uri);
  }

  /** Calls `listener` on every change of `what`; returns how to stop that. */
  onChange(what, listener) {
    this.#changes.on(what, listener);
    return () => void this.#changes.off(what, listener);
  }
}

/**
 * One server instance. `follow()` is for one that lives on (a session, a stdio connection): from then on it tells its
 * client what changes in the world.
 */
export function buildServer(world, { era, pageSize }) {
  const server = new McpServer(
    { name: 'portolan-interop-typescript', version: '1.0.0' },
    {
      capabilities: {
        logging: {},
        completions: {},
        tools: { listChanged: true },
        prompts: { listChanged: true },
        resources: { listChanged: true, subscribe: true },
      },
      instructions: 'The MCP conformance fixture, on the TypeScript SDK.',
      requestState: { verify: world.states.verify },
    },
  );

  const clientCapabilities = (ctx) =>
    ctx.mcpReq.envelope?.['io.modelcontextprotocol/clientCapabilities'] ?? server.server.getClientCapabilities() ?? {};
  const scene = { world, clientCapabilities };

  const handles = new Map();
  for (const tool of tools) {
    const { name, run, ...config } = tool;
    handles.set(
      name,
      server.registerTool(name, config, (args, ctx) => run(args, ctx, scene)),
    );
  }
  for (const prompt of prompts) {
    const { name, get, ...config } = prompt;
    const callback = config.argsSchema ? (args, ctx) => get(args, ctx) : (ctx) => get({}, ctx);
    handles.set(name, server.registerPrompt(name, config, callback));
  }
  const showExtras = () => {
    show(handles.get(EXTRA_TOOL), world.extraTool);
    show(handles.get(EXTRA_PROMPT), world.extraPrompt);
  };
  showExtras();

  registerResources(server, world);
  const subscriptions = era === 'legacy' ? acceptSubscriptions(server) : new Set();
  if (pageSize) paginateTools(server, handles, pageSize);

  const follow = () => {
    const unsubscribe = [
      world.onChange('tools', showExtras),
      world.onChange('prompts', showExtras),
      world.onChange('resource', (uri) => {
        if (era === 'legacy' && !subscriptions.has(uri)) return;
        void server.server.sendResourceUpdated({ uri });
      }),
    ];
    server.server.onclose = () => unsubscribe.forEach((stop) => stop());
  };
  return { server, follow };
}

/** Enabling and disabling also announces, so neither is done without need. */
function show(handle, visible) {
  if (handle.enabled === visible) return;
  if (visible) handle.enable();
  else handle.disable();
}

/** The 2025 way to watch a resource; the modern era has `subscriptions/listen`, which the SDK serves by itself. */
function acceptSubscriptions(server) {
  const uris = new Set();
  server.server.setRequestHandler('resources/subscribe', ({ params }) => {
    uris.add(params.uri);
    return {};
  });
  server.server.setRequestHandler('resources/unsubscribe', ({ params }) => {
    uris.delete(params.uri);
    return {};
  });
  return uris;
}

/** The SDK lists all tools on one page; this replaces its handler by one that does not. */
function paginateTools(server, handles, pageSize) {
  server.server.setRequestHandler('tools/list', ({ params }) => {
    const visible = tools.filter(({ name }) => handles.get(name).enabled);
    const start = params?.cursor === undefined ? 0 : cursorToIndex(params.cursor, visible.length);
    const page = visible.slice(start, start + pageSize).map(({ name, title, description, annotations, schemas }) => ({
      name,
      title,
      description,
      annotations,
      ...schemas,
    }));
    const end = start + pageSize;
    return end < visible.length ? { tools: page, nextCursor: indexToCursor(end) } : { tools: page };
  });
}

const indexToCursor = (index) => Buffer.from(`tools:${index}`).toString('base64url');

function cursorToIndex(cursor, length) {
  const match = /^tools:(\d+)$/.exec(Buffer.from(cursor, 'base64url').toString());
  const index = match ? Number(match[1]) : Number.NaN;
  if (!(index < length)) throw new ProtocolError(ProtocolErrorCode.InvalidParams, 'Invalid cursor');
  return index;
}
