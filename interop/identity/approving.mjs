// An official client whose tool call has to be approved first: by itself, in a form, or by somebody else, on a page.
//
//   node approving.mjs URL ERA KEY TOOL [ARGUMENTS]     ERA is modern or legacy; KEY is what it shows of itself
//
// Prints `{"visit": URL}` when it is to send somebody to a page, and one JSON object at last: what it was asked, and the result.

import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

const [url, era, key, tool, args = '{}'] = process.argv.slice(2);
const mode = { modern: { pin: '2026-07-28' }, legacy: 'legacy' }[era];
const seen = { asked: [] };

const client = new Client(
  { name: 'approving', version: '1' },
  { versionNegotiation: { mode }, capabilities: { elicitation: { form: {}, url: {} } } },
);
client.setRequestHandler('elicitation/create', ({ params }) => {
  seen.asked.push(params.mode ?? 'form');
  seen.message = params.message;
  if (params.mode === 'url') {
    if (!seen.visit) console.log(JSON.stringify({ visit: params.url }));
    seen.visit = params.url;
    return { action: 'accept' };
  }
  return { action: 'accept', content: { approve: true } };
});

try {
  const requestInit = { headers: { authorization: `Bearer ${key}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit }));
  const result = await client.callTool({ name: tool, arguments: JSON.parse(args) }, { timeout: 60_000 });
  seen.result = result.content;
  await client.close();
} catch (error) {
  seen.error = `${error?.name}: ${error?.message}`;
}
console.log(JSON.stringify(seen));
setTimeout(() => process.exit(), 500).unref();
