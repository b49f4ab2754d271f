// An official client that has nothing but an endpoint's URL, and logs in: discovery, registration, code and PKCE, all by the SDK.
// Only the browser is ours: it follows redirects as one would, up to the client's own address.
//
//   node client.mjs URL ERA TOOL [ARGUMENTS]     ERA is modern or legacy
//
// With DPOP in the environment it proves that a key is its own (RFC 9449).
// Prints one JSON object: what it saw of the login, the tools, and the call.

import { Client, DpopSession, StreamableHTTPClientTransport, UnauthorizedError } from '@modelcontextprotocol/client';

const [url, era, tool, args = '{}'] = process.argv.slice(2);
const CALLBACK = 'http://127.0.0.1:9/callback';

const seen = { redirects: 0, scopes: [] };
let code;

/** Follows redirects with cookies, as a browser does. */
async function browse(start) {
  const jar = new Map();
  for (let at = start, hops = 0; hops < 20; hops += 1) {
    if (at.startsWith(CALLBACK)) return new URL(at).searchParams;
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await fetch(at, { redirect: 'manual', headers: cookie ? { cookie } : {} });
    for (const line of answer.headers.getSetCookie()) {
      const [pair] = line.split(';');
      const cut = pair.indexOf('=');
      jar.set(pair.slice(0, cut), pair.slice(cut + 1));
    }
    const next = answer.headers.get('location');
    if (!next) throw new Error(`${at} answers ${answer.status}: ${(await answer.text()).slice(0, 300)}`);
    at = new URL(next, at).href;
  }
  throw new Error('it goes round in circles');
}

class Login {
  #client;
  #tokens;
  #verifier;
  get redirectUrl() {
    return CALLBACK;
  }
  get clientMetadata() {
    return {
      client_name: 'sign-in test',
      redirect_uris: [CALLBACK],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
      application_type: 'native',
    };
  }
  clientInformation() {
    return this.#client;
  }
  saveClientInformation(information) {
    this.#client = information;
  }
  tokens() {
    return this.#tokens;
  }
  saveTokens(tokens) {
    this.#tokens = tokens;
  }
  async redirectToAuthorization(to) {
    seen.redirects += 1;
    seen.scopes.push(to.searchParams.get('scope'));
    seen.resource = to.searchParams.get('resource');
    code = await browse(to.href);
  }
  saveCodeVerifier(verifier) {
    this.#verifier = verifier;
  }
  codeVerifier() {
    return this.#verifier;
  }
}

const authProvider = new Login();
if (process.env.DPOP) {
  const session = DpopSession.create();
  authProvider.dpop = () => session;
}
const mode = { modern: { pin: '2026-07-28' }, legacy: 'legacy' }[era];
let transport;

async function connected() {
  const client = new Client({ name: 'sign-in', version: '1' }, { versionNegotiation: { mode } });
  transport = new StreamableHTTPClientTransport(new URL(url), { authProvider });
  await client.connect(transport);
  return client;
}

/** Does something, and logs in where that is asked for. */
async function signedIn(act) {
  for (let round = 0; round < 4; round += 1) {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof UnauthorizedError) || !code) throw error;
      await transport.finishAuth(code);
      code = undefined;
    }
  }
  throw new Error('logged in again and again');
}

try {
  const client = await signedIn(connected);
  const { tools } = await client.listTools();
  seen.tools = tools.map(({ name }) => name);
  const result = await signedIn(() => client.callTool({ name: tool, arguments: JSON.parse(args) }));
  seen.result = result.content;
  seen.kind = authProvider.tokens().token_type;
  await client.close();
} catch (error) {
  seen.error = `${error?.name}: ${error?.message}`;
}
console.log(JSON.stringify(seen));
setTimeout(() => process.exit(), 500).unref();
