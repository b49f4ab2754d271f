// A real authorization server: npm oidc-provider over plain HTTP on this machine. It lets everybody in as the account that a
// test says, asks nobody anything, and signs access tokens for the resource that a client names (RFC 8707, RFC 9068).
//
//   node issuer.mjs PORT [KEYS]      prints `listening http://127.0.0.1:PORT`; PORT 0 picks one
//
// KEYS is a JSON file of a JWK Set; without one, a new key is made. POST /account/NAME says who logs in from now on.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import Provider from 'oidc-provider';

const [port = '0', keys] = process.argv.slice(2);

function newKeys() {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg: 'ES256', use: 'sig' }] };
}

let account = 'alice';
const http = createServer();
await new Promise((resolve) => http.listen(Number(port), '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${http.address().port}`;

const provider = new Provider(issuer, {
  jwks: keys ? JSON.parse(readFileSync(keys, 'utf8')) : newKeys(),
  clients: [
    {
      client_id: 'gateway',
      client_secret: 'gateway-secret-of-a-test',
      redirect_uris: [],
      response_types: [],
      grant_types: ['client_credentials'],
    },
  ],
  findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id, groups: ['staff'] }) }),
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  pkce: { required: () => true },
  scopes: ['openid', 'offline_access', 'mcp:call', 'mcp:admin'],
  // A client may ask for scopes that it did not register for. The TypeScript client registers for those of the first challenge alone;
  // findings/oidc-provider-scope-at-registration-ends-step-up.sh has what comes of that without this.
  extraClientMetadata: { properties: ['x'], validator: (_ctx, _name, _value, metadata) => void (metadata.scope = undefined) },
  interactions: { url: (_ctx, interaction) => `/decide/${interaction.uid}` },
  issueRefreshToken: () => true,
  rotateRefreshToken: true,
  ttl: { AccessToken: Number(process.env.LASTS ?? 600), Interaction: 600, Session: 600, Grant: 600, RefreshToken: 3600, ClientCredentials: 600 },
  features: {
    devInteractions: { enabled: false },
    dPoP: { enabled: true },
    registration: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    clientCredentials: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      useGrantedResource: () => true,
      getResourceServerInfo: (_ctx, resource) => ({
        scope: 'mcp:call mcp:admin',
        audience: resource,
        accessTokenFormat: process.env.OPAQUE ? 'opaque' : 'jwt',
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
});
provider.proxy = false;

/** What a person would do at the login and the consent page. */
async function decide(req, res) {
  const { prompt, params, session, grantId } = await provider.interactionDetails(req, res);
  if (prompt.name === 'login') {
    return provider.interactionFinished(req, res, { login: { accountId: account } }, { mergeWithLastSubmission: false });
  }
  const grant = grantId
    ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  const { missingOIDCScope, missingResourceScopes } = prompt.details;
  if (missingOIDCScope) grant.addOIDCScope(missingOIDCScope.join(' '));
  for (const [resource, scopes] of Object.entries(missingResourceScopes ?? {})) grant.addResourceScope(resource, scopes.join(' '));
  const consent = { grantId: await grant.save() };
  return provider.interactionFinished(req, res, { consent }, { mergeWithLastSubmission: true });
}

// So that a test can look for them everywhere else.
provider.use(async (ctx, next) => {
  await next();
  if (ctx.body?.access_token) console.log(`issued ${ctx.body.access_token}`);
});

const serve = provider.callback();
http.on('request', (req, res) => {
  const { pathname } = new URL(req.url, issuer);
  if (req.method === 'POST' && pathname.startsWith('/account/')) {
    account = pathname.slice('/account/'.length);
    return res.writeHead(204).end();
  }
  if (pathname.startsWith('/decide/')) {
    return decide(req, res).catch((error) => res.writeHead(500).end(String(error)));
  }
  return serve(req, res);
});
provider.on('server_error', (_ctx, error) => console.error('server_error', error));
console.log(`listening ${issuer}`);
