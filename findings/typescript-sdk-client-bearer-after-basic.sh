#!/usr/bin/env bash
# @modelcontextprotocol/client 2.4.0 (npm): it reads WWW-Authenticate only if its value begins with `Bearer` or `DPoP`. A server may
# offer several schemes in any order, in one field or in several (RFC 9110 §11.6.1), and fetch() joins those to one value. Where
# `Basic` comes first, nothing of the Bearer challenge is seen: neither where the metadata are nor which scope is needed.
# Seen: Bearer first gives both, Basic first gives nothing at all; mcp 2.3.0 (PyPI), the other official client, reads it.
# The client then looks at the well-known place alone, and asks for other scopes or for none.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund @modelcontextprotocol/client@2.4.0
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check mcp==2.3.0
cat >seen.mjs <<'SCRIPT'
import { createServer } from 'node:http';
import { extractWWWAuthenticateParams } from '@modelcontextprotocol/client';

const basic = 'Basic realm="proxy"';
const bearer = 'Bearer resource_metadata="https://mcp.example/.well-known/oauth-protected-resource/mcp", scope="read"';
const orders = { '/bearer-basic': [bearer, basic], '/basic-bearer': [basic, bearer] };
const http = createServer((request, response) => response.writeHead(401, { 'WWW-Authenticate': orders[request.url] }).end());
await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve));
for (const path of Object.keys(orders)) {
  const response = await fetch(`http://127.0.0.1:${http.address().port}${path}`);
  const { resourceMetadataUrl, scope } = extractWWWAuthenticateParams(response);
  console.log(`npm ${path} ${resourceMetadataUrl?.pathname} ${scope}`);
}
process.exit(0);
SCRIPT
cat >seen.py <<'SCRIPT'
from httpx2 import Response
from mcp.client.auth.utils import extract_scope_from_www_auth

headers = [("WWW-Authenticate", 'Basic realm="proxy"'), ("WWW-Authenticate", 'Bearer scope="read"')]
print("PyPI /basic-bearer", extract_scope_from_www_auth(Response(401, headers=headers)))
SCRIPT
seen=$(node seen.mjs; venv/bin/python seen.py)
echo "$seen"
[ "$seen" = "npm /bearer-basic /.well-known/oauth-protected-resource/mcp read
npm /basic-bearer undefined undefined
PyPI /basic-bearer read" ]
