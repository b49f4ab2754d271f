// A client on the official TypeScript SDK that does what each scenario of the official suite's client half wants to see.
//
//   MCP_CONFORMANCE_SCENARIO=tools_call node_modules/.bin/node clients/conformance.mjs URL
//
// MCP_CONFORMANCE_PROTOCOL_VERSION decides the era, MCP_CONFORMANCE_CONTEXT has what the client is to send. Authorization is
// not for this client: it stands behind a gateway.

import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

const url = process.argv.at(-1);
const name = process.env.MCP_CONFORMANCE_SCENARIO;
const revision = process.env.MCP_CONFORMANCE_PROTOCOL_VERSION;
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');
// What has no part to play here must not hang.
const TIMEOUT = 20_000;

const scenarios = {
  initialize: (client) => client.listTools(),

  async tools_call(client) {
    await client.listTools();
    await client.callTool({ name: 'add_numbers', arguments: { a: 2, b: 3 } });
  },

  'elicitation-sep1034-client-defaults': (client) => client.callTool({ name: 'test_client_elicitation_defaults', arguments: {} }),

  async 'sse-retry'(client) {
    const { content } = await client.callTool({ name: 'test_reconnection', arguments: {} });
    if (!content[0]?.text) throw new Error('the answer after the reconnection did not come');
  },

  'request-metadata': (client) => client.listTools(),

  async 'sep-2322-client-request-state'(client) {
    await client.listTools();
    // Beside each other: what belongs to one call must not reach another.
    await Promise.all(
      ['test_mrtr_echo_state', 'test_mrtr_no_state', 'test_mrtr_unrelated', 'test_mrtr_no_result_type'].map((tool) =>
        client.callTool({ name: tool, arguments: {} }),
      ),
    );
  },

  async 'http-standard-headers'(client) {
    for (const tool of (await client.listTools()).tools) await client.callTool({ name: tool.name, arguments: {} });
    for (const { uri } of (await client.listResources()).resources) await client.readResource({ uri });
    for (const prompt of (await client.listPrompts()).prompts) await client.getPrompt({ name: prompt.name });
  },

  async 'http-custom-headers'(client) {
    await client.listTools();
    for (const call of context.toolCalls) await client.callTool({ name: call.name, arguments: call.arguments });
  },

  async 'http-invalid-tool-headers'(client) {
    const { tools } = await client.listTools();
    for (const { name, inputSchema } of tools) {
      const values = Object.keys(inputSchema.properties ?? {}).map((key) => [key, 'x']);
      await client.callTool({ name, arguments: Object.fromEntries(values) });
    }
  },

  'json-schema-ref-no-deref': (client) => client.listTools(),

  async 'json-schema-2020-12-preservation'(client) {
    const { tools } = await client.listTools();
    const { inputSchema } = tools.find((tool) => tool.name === 'json_schema_2020_12_tool');
    await client.callTool({ name: 'json_schema_echo', arguments: { schema: inputSchema } });
  },
};

const scenario = scenarios[name];
if (!scenario) throw new Error(`the scenario ${name} is not known here`);

const modern = revision >= '2026-07-28';
const client = new Client(
  { name: 'portolan-interop-conformance', version: '1.0.0' },
  {
    capabilities: { elicitation: { form: { applyDefaults: true } } },
    versionNegotiation: { mode: modern ? { pin: revision } : 'legacy' },
  },
);
// A form is accepted as it is: the SDK puts the defaults in. Only what has none is filled in.
client.setRequestHandler('elicitation/create', ({ params }) => {
  const fields = Object.entries(params.requestedSchema?.properties ?? {});
  const open = fields.filter(([, schema]) => schema.default === undefined && schema.type === 'boolean');
  return { action: 'accept', content: Object.fromEntries(open.map(([key]) => [key, true])) };
});
const transport = new StreamableHTTPClientTransport(url);
await client.connect(transport, { timeout: TIMEOUT });
await scenario(client);
if (!modern) await transport.terminateSession?.();
await client.close();
