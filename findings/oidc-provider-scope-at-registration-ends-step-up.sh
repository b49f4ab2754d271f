#!/usr/bin/env bash
# @modelcontextprotocol/client 2.4.0 and oidc-provider 9.13.3 (both npm): together they make it impossible to ask for one more scope.
# The client registers (RFC 7591 §2, `scope`) for the scopes of the challenge that it met first, also where its provider's
# clientMetadata name more. The server grants nothing else to it later, of the scopes that its own configuration lists. When a call
# then needs another one, the client asks for both under the same registration, and does not register again.
# Seen: the first request leads to the login; the second is refused, «invalid_scope: requested scope is not allowed».
# So a server whose challenge names the fewest scopes first, as MCP 2026-07-28 would have it, is never asked for more.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund oidc-provider@9.13.3 @modelcontextprotocol/client@2.4.0
cat >seen.mjs <<'SCRIPT'
import { createServer } from 'node:http';
import { auth } from '@modelcontextprotocol/client';
import Provider from 'oidc-provider';

console.warn = console.info = () => {};
const http = createServer();
await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${http.address().port}`;
const provider = new Provider(issuer, {
  scopes: ['openid', 'files:read', 'files:write'],
  interactions: { url: () => '/login' },
  features: {
    registration: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: { enabled: true, getResourceServerInfo: () => ({ scope: 'files:read files:write' }) },
  },
});
const serve = provider.callback();
const registrations = [];
http.on('request', (request, response) => {
  if (request.url === '/.well-known/oauth-protected-resource/mcp') {
    response.setHeader('content-type', 'application/json');
    return response.end(JSON.stringify({ resource: `${issuer}/mcp`, authorization_servers: [issuer] }));
  }
  return serve(request, response);
});
provider.on('registration_create.success', (_ctx, client) => registrations.push(client.scope));

let to;
let information;
const client = {
  redirectUrl: 'http://127.0.0.1:9/callback',
  clientMetadata: {
    client_name: 'client',
    redirect_uris: ['http://127.0.0.1:9/callback'],
    grant_types: ['authorization_code'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
    application_type: 'native',
    scope: 'files:read files:write',
  },
  clientInformation: () => information,
  saveClientInformation: (given) => (information = given),
  tokens: () => undefined,
  saveTokens: () => {},
  saveCodeVerifier: () => {},
  codeVerifier: () => 'none',
  redirectToAuthorization: (url) => (to = url),
};

async function asks(scope) {
  await auth(client, { serverUrl: `${issuer}/mcp`, scope });
  const answer = await fetch(to, { redirect: 'manual' });
  const next = new URL(answer.headers.get('location'), issuer);
  const error = next.searchParams.get('error');
  const said = error ? `${error}: ${next.searchParams.get('error_description')}` : next.pathname;
  return `asks for ${to.searchParams.get('scope')}: ${said}`;
}

console.log(await asks('files:read'));
console.log(await asks('files:read files:write'));
console.log(`registered for ${registrations.join(' and ')}`);
process.exit(0);
SCRIPT
seen=$(node seen.mjs)
echo "$seen"
[ "$seen" = "asks for files:read: /login
asks for files:read files:write: invalid_scope: requested scope is not allowed
registered for files:read" ]
