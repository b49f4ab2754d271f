// A real client, on the official TypeScript SDKs, that goes through the conformance fixture once and says what it saw.
// It has the command line, the operations and the output of ../python/client.py, so that a test can swap one for the
// other. `usage` below is the manual.
//
// Reading order: this file, typescript/operations.mjs (what is done), typescript/peers.mjs (the two SDKs made alike).

import { parseArgs } from 'node:util';

import { BadAnswer, extra, script } from './typescript/operations.mjs';
import { connectV1, connectV2 } from './typescript/peers.mjs';

const usage = `usage: node clients/typescript.mjs (--url URL | --command CMD [ARG...]) [options]

Goes through a server that offers the conformance fixture, once. One JSON object a line, one line an operation:
{"op": ..., "ok": true, ...what was observed}.

  --url URL               a Streamable HTTP endpoint
  --sse                   the URL is that of an HTTP+SSE stream, the transport of 2024-11-05; with --sdk 1
  --command CMD [ARG...]  a stdio server; takes the rest of the command line
  --era ERA               modern, legacy or auto (default): auto asks, and falls back, as a real client does
  --sdk N                 2 (default) is @modelcontextprotocol/client; 1 is @modelcontextprotocol/sdk, which is from
                          before the modern era and can only be legacy
  --tool-prefix P         put before the names of tools and prompts
  --uri-prefix P          put after scheme:// in resource URIs
  --only OP[,OP]          run these operations, in this order
  --call TOOL             call this tool: the operation \`call\`, by itself unless --only says more
  --arguments JSON        with these arguments (default {})
  --timeout S             seconds for one operation (default 20)

Operations: ${Object.keys(script).join(', ')}.
Only on demand: ${Object.keys(extra).join(', ')}.

Exit: 0 all worked as far as the protocol is concerned (a tool that reports an error of its own works); 1 not so;
2 the command line is wrong.`;

process.exitCode = await run(readOptions(process.argv.slice(2)));
// A server that does not let go of its stream must not keep a finished client alive.
setTimeout(() => process.exit(), 2000).unref();

async function run(options) {
  const report = (op, ok, observed) => {
    console.log(JSON.stringify({ op, ok, ...observed }));
    return ok;
  };

  const connect = options.sdk === 1 ? connectV1 : connectV2;
  let peer;
  try {
    peer = await connect(options);
  } catch (error) {
    report('connect', false, { error: describe(error) });
    return 1;
  }
  let good = report('connect', true, peer.negotiated);

  const visit = {
    peer,
    timeout: options.timeout,
    call: options.call,
    name: (name) => options.toolPrefix + name,
    uri: (uri) => uri.replace('://', () => `://${options.uriPrefix}`),
  };
  for (const op of options.only) {
    try {
      const observed = await within(options.timeout, (script[op] ?? extra[op])(visit));
      report(op, true, observed);
    } catch (error) {
      good = report(op, false, { error: describe(error) });
    }
  }

  try {
    await within(options.timeout, peer.close());
  } catch (error) {
    good = report('close', false, { error: describe(error) });
  }
  return good ? 0 : 1;
}

async function within(ms, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new BadAnswer(`not done within ${ms / 1000} s`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function describe(error) {
  const { code, message, data } = error;
  const cause = error.cause?.code ?? error.cause?.message;
  return {
    ...(code !== undefined && { code }),
    message: message || error.name,
    type: error.constructor.name,
    ...(data !== undefined && { data }),
    ...(cause !== undefined && { cause: `${cause}` }),
  };
}

function readOptions(argv) {
  // `--command` takes the rest, so its arguments are never mistaken for ours.
  const at = argv.indexOf('--command');
  const command = at < 0 ? undefined : argv.slice(at + 1);
  let values;
  try {
    ({ values } = parseArgs({
      args: at < 0 ? argv : argv.slice(0, at),
      options: {
        url: { type: 'string' },
        era: { type: 'string', default: 'auto' },
        sdk: { type: 'string', default: '2' },
        sse: { type: 'boolean', default: false },
        'tool-prefix': { type: 'string', default: '' },
        'uri-prefix': { type: 'string', default: '' },
        only: { type: 'string' },
        call: { type: 'string' },
        arguments: { type: 'string' },
        timeout: { type: 'string', default: '20' },
        help: { type: 'boolean', short: 'h' },
      },
    }));
  } catch (error) {
    refuse(error.message);
  }
  if (values.help) {
    console.log(usage);
    process.exit(0);
  }
  if ((values.url === undefined) === (command === undefined)) refuse('give either --url or --command');
  if (command?.length === 0) refuse('--command needs a command');
  if (values.url !== undefined && !/^https?:\/\//.test(values.url)) refuse(`--url ${values.url} is not an http or https URL`);
  if (!['modern', 'legacy', 'auto'].includes(values.era)) refuse(`--era ${values.era} is none of modern, legacy, auto`);
  if (!['1', '2'].includes(values.sdk)) refuse(`--sdk ${values.sdk} is neither 1 nor 2`);
  if (values.sdk === '1' && values.era === 'modern') refuse('--sdk 1 is from before the modern era');
  if (values.sse && (values.sdk !== '1' || values.url === undefined)) refuse('--sse goes with --sdk 1 and --url');
  const timeout = Number(values.timeout) * 1000;
  if (!(timeout > 0)) refuse(`--timeout ${values.timeout} is not a number of seconds`);

  if (values.arguments !== undefined && values.call === undefined) refuse('--arguments needs --call');
  const call = values.call === undefined ? undefined : { name: values.call, arguments: readArguments(values.arguments ?? '{}') };
  const only = values.only?.split(',').filter(Boolean) ?? (call ? ['call'] : Object.keys(script));
  const unknown = only.filter((op) => !(op in script) && !(op in extra));
  if (unknown.length > 0 || only.length === 0) refuse(`--only: no operation ${unknown.join(', ') || 'named'}`);
  if (only.includes('call') && !call) refuse('the operation call needs --call');

  return {
    url: values.url === undefined ? undefined : new URL(values.url),
    command,
    era: values.era,
    sdk: Number(values.sdk),
    sse: values.sse,
    toolPrefix: values['tool-prefix'],
    uriPrefix: values['uri-prefix'],
    only,
    call,
    timeout,
  };
}

function readArguments(text) {
  try {
    const value = JSON.parse(text);
    if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value;
  } catch {
    // Said below.
  }
  return refuse(`--arguments ${text} is not a JSON object`);
}

function refuse(problem) {
  console.error(`typescript.mjs: ${problem}\n\n${usage}`);
  process.exit(2);
}
