import { acceptedContent, completable, inputRequired } from '@modelcontextprotocol/server';
import { z } from 'zod';

import { PNG } from './samples.mjs';

/** Listed only while the world says so; `test_trigger_prompt_change` flips it. */
export const EXTRA_PROMPT = 'test_extra_prompt';

const WORDS = ['paris', 'park', 'party', 'test', 'testing'];

const user = (content) => ({ role: 'user', content });
const say = (text) => user({ type: 'text', text });

export const prompts = [
  {
    name: 'test_simple_prompt',
    description: 'A prompt without arguments',
    get: () => ({ messages: [say('This is a simple prompt for testing.')] }),
  },
  {
    name: 'test_prompt_with_arguments',
    description: 'A prompt that repeats its two arguments',
    argsSchema: z.object({
      arg1: completable(z.string().describe('First test argument'), (typed) => WORDS.filter((word) => word.startsWith(typed))),
      arg2: z.string().describe('Second test argument'),
    }),
    get: ({ arg1, arg2 }) => ({ messages: [say(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`)] }),
  },
  {
    name: 'test_prompt_with_embedded_resource',
    description: 'A prompt that embeds a resource under the given URI',
    argsSchema: z.object({ resourceUri: z.string().describe('URI of the resource to embed') }),
    get: ({ resourceUri }) => ({
      messages: [
        user({
          type: 'resource',
          resource: { uri: resourceUri, mimeType: 'text/plain', text: 'Embedded resource content for testing.' },
        }),
        say('Please process the embedded resource above.'),
      ],
    }),
  },
  {
    name: 'test_prompt_with_image',
    description: 'A prompt with an image',
    get: () => ({
      messages: [user({ type: 'image', data: PNG, mimeType: 'image/png' }), say('Please analyze the image above.')],
    }),
  },
  {
    name: 'test_input_required_result_prompt',
    description: 'A prompt that first asks the user for its context',
    get: (_args, ctx) => {
      const answer = acceptedContent(ctx.mcpReq.inputResponses, 'user_context', z.object({ context: z.string() }));
      if (answer) return { messages: [say(`The context is: ${answer.context}`)] };
      return inputRequired({
        inputRequests: {
          user_context: inputRequired.elicit({
            message: 'What context should the prompt use?',
            requestedSchema: { type: 'object', properties: { context: { type: 'string' } }, required: ['context'] },
          }),
        },
      });
    },
  },
  {
    name: EXTRA_PROMPT,
    description: 'A prompt that comes and goes',
    get: () => ({ messages: [say('I am here.')] }),
  },
];
