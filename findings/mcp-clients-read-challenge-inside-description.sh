#!/usr/bin/env bash
# @modelcontextprotocol/client 2.4.0 (npm) and mcp 2.3.0 (PyPI), official clients: both look for a parameter of WWW-Authenticate
# with a pattern that knows nothing of quoted strings. So they take it from wherever its name stands first with an equals sign,
# also from the text that is meant for people. `error_description` may hold `=` (RFC 6750 §3), and parameters come in any order.
# Seen: of `error_description="… scope=read …", scope="write"` both take «read»; with the description last both take «write».
# A server that says in words which scope a token has sends its clients to log in for just that again.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund @modelcontextprotocol/client@2.4.0
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check mcp==2.3.0
cat >seen.mjs <<'SCRIPT'
import { extractWWWAuthenticateParams } from '@modelcontextprotocol/client';

for (const challenge of process.argv.slice(2)) {
  const response = new Response(null, { status: 403, headers: { 'WWW-Authenticate': challenge } });
  console.log('npm', extractWWWAuthenticateParams(response).scope);
}
SCRIPT
cat >seen.py <<'SCRIPT'
import sys

from httpx2 import Response
from mcp.client.auth.utils import extract_scope_from_www_auth

for challenge in sys.argv[1:]:
    print("PyPI", extract_scope_from_www_auth(Response(403, headers={"WWW-Authenticate": challenge})))
SCRIPT
text='error_description="a token with scope=read is not enough"'
challenges=("Bearer error=\"insufficient_scope\", $text, scope=\"write\"" "Bearer error=\"insufficient_scope\", scope=\"write\", $text")
seen=$(node seen.mjs "${challenges[@]}"; venv/bin/python seen.py "${challenges[@]}")
echo "$seen"
[ "$seen" = "npm read
npm write
PyPI read
PyPI write" ]
