// The conformance fixture on the official TypeScript SDK: one server, both eras, over Streamable HTTP or stdio.
//
//   PORT=3101 node servers/typescript.mjs             prints `listening http://127.0.0.1:3101/mcp`; PORT=0 picks a port
//   ERA=modern|legacy|both                            which eras it speaks (default both); it refuses the other one
//   TRANSPORT=http|stdio                              default http
//   PAGE_SIZE=N                                       splits tools/list into pages of N (default: one page)
//
// Reading order: this file, typescript/fixture.mjs (what it offers), typescript/http.mjs (how the eras share one URL).

import { serveStdio, StdioServerTransport } from '@modelcontextprotocol/server/stdio';

import { buildServer, World } from './typescript/fixture.mjs';
import { serveHttp } from './typescript/http.mjs';

const ERAS = ['modern', 'legacy', 'both'];
const TRANSPORTS = ['http', 'stdio'];

function fail(message) {
  console.error(`typescript.mjs: ${message}`);
  process.exit(2);
}

function choice(name, allowed, fallback) {
  const value = process.env[name] || fallback;
  if (!allowed.includes(value)) fail(`${name}=${value} is none of ${allowed.join(', ')}`);
  return value;
}

function count(name, fallback, { min = 0, max = Number.MAX_SAFE_INTEGER } = {}) {
  const text = process.env[name];
  if (!text) return fallback;
  const value = Number(text);
  if (!Number.isInteger(value) || value < min || value > max) fail(`${name}=${text} is not a whole number in ${min}..${max}`);
  return value;
}

const settings = {
  era: choice('ERA', ERAS, 'both'),
  port: count('PORT', 3101, { max: 65535 }),
  pageSize: count('PAGE_SIZE', undefined, { min: 1 }),
};
const transport = choice('TRANSPORT', TRANSPORTS, 'http');
const report = (error) => console.error(`typescript.mjs: ${error.message}`);
const world = new World();

if (transport === 'stdio') {
  await startStdio();
} else {
  await startHttp();
}

async function startHttp() {
  let server;
  try {
    server = await serveHttp({ ...settings, world, onerror: report });
  } catch (error) {
    fail(`cannot listen on 127.0.0.1:${settings.port}: ${error.message}`);
  }
  console.log(`listening ${server.url}`);
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => server.close().then(() => process.exit(0)));
}

async function startStdio() {
  const build = (context) => {
    const { server, follow } = buildServer(world, { ...settings, era: context.era });
    follow();
    return server;
  };
  if (settings.era === 'legacy') {
    // Not `serveStdio`: it always knows the modern opening too. A server from before 2026 is one connected instance.
    await build({ era: 'legacy' }).connect(new StdioServerTransport());
  } else {
    serveStdio(build, { legacy: settings.era === 'modern' ? 'reject' : 'serve', onerror: report });
  }
}
