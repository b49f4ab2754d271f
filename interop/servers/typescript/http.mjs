// Streamable HTTP for both eras on one URL. The modern era is one server instance per request; the legacy era is one
// per session, with an event store, so that streams can be closed in mid-call and resumed.

import { createServer } from 'node:http';
import { randomUUID } from 'node:crypto';

import { localhostHostValidation, localhostOriginValidation, toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, isLegacyRequest, WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/server';

import { buildServer } from './fixture.mjs';

const PATH = '/mcp';

/** Listens on loopback; resolves once it does, to `{ url, close }`. */
export async function serveHttp({ era, port, pageSize, world, onerror }) {
  const modern = era === 'legacy' ? undefined : modernEndpoint(world, { pageSize, onerror });
  const legacy = era === 'modern' ? undefined : legacyEndpoint(world, { pageSize, onerror });

  const route = async (request) => {
    if (!modern) return legacy.fetch(request);
    if (!legacy) return modern.fetch(request);
    return (await isLegacyRequest(request)) ? legacy.fetch(request) : modern.fetch(request);
  };

  const handle = toNodeHandler({ fetch: route }, { onerror });
  const hostAllowed = localhostHostValidation();
  const originAllowed = localhostOriginValidation();

  const http = createServer((req, res) => {
    if (!hostAllowed(req, res) || !originAllowed(req, res)) return;
    if (req.url.split('?', 1)[0] !== PATH) {
      res.writeHead(404).end();
      return;
    }
    flushHeadersAtOnce(res);
    handle(req, res).catch((error) => {
      onerror(error);
      res.destroy();
    });
  });

  await new Promise((resolve, reject) => {
    http.once('error', reject);
    http.listen(port, '127.0.0.1', resolve);
  });

  return {
    url: `http://127.0.0.1:${http.address().port}${PATH}`,
    close: async () => {
      await Promise.all([modern?.close(), legacy?.close()]);
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  };
}

/** Node holds the head back until the first body byte, but the first event of a legacy GET stream may be hours away. */
function flushHeadersAtOnce(res) {
  const writeHead = res.writeHead.bind(res);
  res.writeHead = (...head) => {
    writeHead(...head);
    res.flushHeaders();
    return res;
  };
}

function modernEndpoint(world, { pageSize, onerror }) {
  const handler = createMcpHandler(() => buildServer(world, { era: 'modern', pageSize }).server, { legacy: 'reject', onerror });
  // An instance lives for one request, so the listen streams hear of changes from the handler.
  const subscriptions = [
    world.onChange('tools', () => handler.notify.toolsChanged()),
    world.onChange('prompts', () => handler.notify.promptsChanged()),
    world.onChange('resource', (uri) => handler.notify.resourceUpdated(uri)),
  ];
  return {
    fetch: handler.fetch,
    close: async () => {
      for (const unsubscribe of subscriptions) unsubscribe();
      await handler.close();
    },
  };
}

function legacyEndpoint(world, { pageSize, onerror }) {
  const sessions = new Map();

  const open = async () => {
    const { server, follow } = buildServer(world, { era: 'legacy', pageSize });
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      eventStore: new RecentEvents(),
      // How long a client waits before it comes back for the rest of a stream that was closed on it.
      retryInterval: 250,
      onsessioninitialized: (id) => {
        sessions.set(id, transport);
        follow();
      },
      onsessionclosed: (id) => void sessions.delete(id),
    });
    transport.onerror = onerror;
    await server.connect(transport);
    return transport;
  };

  return {
    fetch: async (request) => {
      const id = request.headers.get('mcp-session-id');
      // Without a session it is either `initialize` or a mistake, which a transport that was never initialised refuses.
      const transport = id === null ? await open() : sessions.get(id);
      return transport ? transport.handleRequest(request) : sessionNotFound();
    },
    close: async () => {
      await Promise.all([...sessions.values()].map((transport) => transport.close()));
      sessions.clear();
    },
  };
}

function sessionNotFound() {
  return Response.json({ jsonrpc: '2.0', error: { code: -32001, message: 'Session not found' }, id: null }, { status: 404 });
}

/** The last events of one session, to replay from. A stream that has lost its beginning cannot be resumed. */
class RecentEvents {
  static LIMIT = 1000;
  #events = new Map();
  #next = 0;

  async storeEvent(streamId, message) {
    const id = `${this.#next++}`;
    this.#events.set(id, { streamId, message });
    if (this.#events.size > RecentEvents.LIMIT) this.#events.delete(this.#events.keys().next().value);
    return id;
  }

  async getStreamIdForEventId(id) {
    return this.#events.get(id)?.streamId;
  }

  async replayEventsAfter(lastId, { send }) {
    const last = this.#events.get(lastId);
    if (!last) throw new Error(`event ${lastId} is not, or no longer, known`);
    for (const [id, event] of this.#events) {
      if (Number(id) > Number(lastId) && event.streamId === last.streamId) await send(id, event.message);
    }
    return last.streamId;
  }
}
