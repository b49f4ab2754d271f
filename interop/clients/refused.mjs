// Sends a large body to a URL that refuses it, in one of several ways, and says the status that it read:
//   refused.mjs CLIENT URL BYTES HEADERS
import http from 'node:http';
import http2 from 'node:http2';
import { createRequire } from 'node:module';

const [client, url, size, more] = process.argv.slice(2);
const headers = JSON.parse(more);
const bytes = Number(size);

function* pieces() {
  for (let left = bytes; left > 0; left -= 65536) yield Buffer.alloc(Math.min(left, 65536));
}

function asked(start) {
  return new Promise((answered, failed) => start(answered, failed));
}

async function read(response) {
  await response.text();
  return response.status;
}

const clients = {
  fetch: async () => read(await fetch(url, { method: 'POST', headers, body: Buffer.alloc(bytes) })),
  'fetch-stream': async () =>
    read(await fetch(url, { method: 'POST', headers, body: ReadableStream.from(pieces()), duplex: 'half' })),
  undici: async () => {
    const { request } = createRequire(import.meta.url)('undici');
    const response = await request(url, { method: 'POST', headers, body: Buffer.alloc(bytes) });
    await response.body.text();
    return response.statusCode;
  },
  'undici-http2': async () => {
    const undici = createRequire(import.meta.url)('undici');
    const dispatcher = new undici.Agent({ allowH2: true });
    return read(await undici.fetch(url, { method: 'POST', headers, body: Buffer.alloc(bytes), dispatcher }));
  },
  http: () =>
    asked((answered, failed) => {
      const options = { method: 'POST', headers: { ...headers, 'content-length': bytes } };
      const request = http.request(url, options, (response) =>
        response.resume().on('end', () => answered(response.statusCode)),
      );
      request.on('error', failed).end(Buffer.alloc(bytes));
    }),
  http2: () =>
    asked((answered, failed) => {
      // It keeps what it has not sent, and breaks off past 10 MB of that if it is not told otherwise.
      const session = http2.connect(new URL(url).origin, { maxSessionMemory: 100 }).on('error', failed);
      const request = session.request({ ':method': 'POST', ':path': new URL(url).pathname, ...headers });
      let status;
      request.on('response', (head) => (status = head[':status']));
      request.on('error', failed).on('end', () => answered(status)).resume();
      request.end(Buffer.alloc(bytes));
    }),
};

try {
  console.log(await clients[client]());
} catch (error) {
  console.log(`${error} ${error.cause ?? ''}`);
}
process.exit();
