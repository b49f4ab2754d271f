#!/usr/bin/env bash
# @modelcontextprotocol/sdk 1.32.2 (npm), its client: listTools() compiles every tool's `outputSchema` with Ajv before it gives
# the list. JSON Schema lets a schema refer to another one by an absolute URI. One tool that does so makes the whole
# listTools() reject, and no tool of that server is there, though calls by name would still work.
# Seen: «can't resolve reference https://schemas.example/point.json from id #»; without that tool the same list is given.
# A gateway that puts many servers into one list loses all of them for one such tool.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund @modelcontextprotocol/sdk@1.32.2
cat >seen.mjs <<'SCRIPT'
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js';

const inputSchema = { type: 'object' };
const plain = { name: 'plain', inputSchema };
const at = { $ref: 'https://schemas.example/point.json' };
const refers = { name: 'refers', inputSchema, outputSchema: { type: 'object', properties: { at } } };

async function list(tools) {
  const [near, far] = InMemoryTransport.createLinkedPair();
  far.onmessage = ({ id, method }) => {
    if (id === undefined) return;
    const serverInfo = { name: 'server', version: '1' };
    const opened = { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo };
    far.send({ jsonrpc: '2.0', id, result: method === 'initialize' ? opened : { tools } });
  };
  await far.start();
  const client = new Client({ name: 'client', version: '1' });
  await client.connect(near);
  return client.listTools().then((got) => got.tools.map((tool) => tool.name).join(' '), (error) => `rejected: ${error.message}`);
}

console.log(await list([plain]));
console.log(await list([plain, refers]));
process.exit(0);
SCRIPT
seen=$(node seen.mjs)
echo "$seen"
[ "$seen" = "plain
rejected: can't resolve reference https://schemas.example/point.json from id #" ]
