import { ResourceTemplate } from '@modelcontextprotocol/server';

import { PNG } from './samples.mjs';

export const WATCHED_URI = 'test://watched-resource';

export function registerResources(server, world) {
  server.registerResource(
    'static-text',
    'test://static-text',
    {
      title: 'Static text',
      description: 'A text that never changes',
      mimeType: 'text/plain',
      // The only thing here that may be cached, so that a test can tell a kept hint from an invented one.
      cacheHint: { ttlMs: 60_000, cacheScope: 'public' },
    },
    (uri) => ({
      contents: [{ uri: uri.href, mimeType: 'text/plain', text: 'This is the content of the static text resource.' }],
    }),
  );
  server.registerResource(
    'static-binary',
    'test://static-binary',
    { title: 'Static binary', description: 'An image of one pixel', mimeType: 'image/png' },
    (uri) => ({ contents: [{ uri: uri.href, mimeType: 'image/png', blob: PNG }] }),
  );
  server.registerResource(
    'watched-resource',
    WATCHED_URI,
    { title: 'Watched', description: 'A text that test_trigger_resource_update changes', mimeType: 'text/plain' },
    (uri) => ({ contents: [{ uri: uri.href, mimeType: 'text/plain', text: `Revision ${world.watchedRevision}` }] }),
  );
  server.registerResource(
    'template-data',
    new ResourceTemplate('test://template/{id}/data', {
      list: undefined,
      complete: { id: (typed) => ['1', '12', '123'].filter((id) => id.startsWith(typed)) },
    }),
    { title: 'Templated', description: 'JSON that names its own id', mimeType: 'application/json' },
    (uri, { id }) => ({
      contents: [
        {
          uri: uri.href,
          mimeType: 'application/json',
          text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` }),
        },
      ],
    }),
  );
}
