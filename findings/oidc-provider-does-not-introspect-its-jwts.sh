#!/usr/bin/env bash
# oidc-provider 9.13.3 (npm): with `introspection` on and access tokens that are JWTs, its introspection endpoint refuses the tokens
# that it has just made: 400 `unsupported_token_type`, an error that RFC 7009 §2.2.1 has for revocation. For introspection, a token
# that the server will say nothing of is no error: the answer is `active: false` (RFC 7662 §2.3).
# Seen: a JWT gives 400, an opaque token of the same server «active: true», a text that is no token «active: false».
# A resource server that asks about every token must take that error for «look at the signature», and not for a fault of its own.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund oidc-provider@9.13.3
cat >seen.mjs <<'SCRIPT'
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

console.warn = console.info = () => {};
const http = createServer();
await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${http.address().port}`;
const client = { client_id: 'server', client_secret: 'a-secret-of-a-test', grant_types: ['client_credentials'] };
const provider = new Provider(issuer, {
  clients: [{ ...client, redirect_uris: [], response_types: [] }],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_ctx, resource) => ({
        scope: 'read',
        accessTokenFormat: resource.endsWith('/jwt') ? 'jwt' : 'opaque',
      }),
    },
  },
});
http.on('request', provider.callback());

async function post(path, form) {
  const authorization = `Basic ${Buffer.from(`${client.client_id}:${client.client_secret}`).toString('base64')}`;
  const answer = await fetch(issuer + path, { method: 'POST', headers: { authorization }, body: new URLSearchParams(form) });
  return { status: answer.status, ...(await answer.json()) };
}

async function asked(what, token) {
  const { status, active, error, error_description: text } = await post('/token/introspection', { token });
  console.log(`${what}: ${status} ${error ? `${error}: ${text}` : `active: ${active}`}`);
}

for (const format of ['jwt', 'opaque']) {
  const form = { grant_type: 'client_credentials', scope: 'read', resource: `https://mcp.example/${format}` };
  await asked(format, (await post('/token', form)).access_token);
}
await asked('no token', 'rubbish');
process.exit(0);
SCRIPT
seen=$(node seen.mjs)
echo "$seen"
[ "$seen" = "jwt: 400 unsupported_token_type: Structured JWT Tokens cannot be introspected via the introspection_endpoint
opaque: 200 active: true
no token: 200 active: false" ]
