// One session of a TypeScript client: lists, calls, a stream of progress and log messages,
// a question that the server asks, a resource, a prompt. Prints the revision it agreed on.
//   session.mjs (v1|v2|v2auto) (streamable|sse) URL
import assert from 'node:assert/strict';

const [generation, kind, url] = process.argv.slice(2);
const token = process.env.CLIENTS_TOKEN;
const headers = token ? {Authorization: `Bearer ${token}`} : {};

let Client, Streamable, SSE, ask;
if (generation === 'v1') {
  ({Client} = await import('@modelcontextprotocol/sdk/client/index.js'));
  ({StreamableHTTPClientTransport: Streamable} = await import('@modelcontextprotocol/sdk/client/streamableHttp.js'));
  ({SSEClientTransport: SSE} = await import('@modelcontextprotocol/sdk/client/sse.js'));
  ({CreateMessageRequestSchema: ask} = await import('@modelcontextprotocol/sdk/types.js'));
} else {
  ({Client, StreamableHTTPClientTransport: Streamable, SSEClientTransport: SSE} = await import('@modelcontextprotocol/client'));
  ask = 'sampling/createMessage';
}

const options = {capabilities: {sampling: {}, elicitation: {}}};
if (generation === 'v2auto') options.versionNegotiation = {mode: 'auto'};
const client = new Client({name: 'session', version: '1'}, options);
client.setRequestHandler(ask, async () => ({role: 'assistant', model: 'none', content: {type: 'text', text: 'forty-two'}}));

let revision = '';
const watch = async (input, init) => {
  const v = new Headers(init?.headers).get('mcp-protocol-version');
  if (v) revision = v;
  return fetch(input, init);
};
const transport = kind === 'sse'
  ? new SSE(new URL(url), {requestInit: {headers}, fetch: watch})
  : new Streamable(new URL(url), {requestInit: {headers}, fetch: watch});
await client.connect(transport);

const text = (result) => result.content.map((c) => c.text).join('');
const {tools} = await client.listTools();
assert.ok(tools.some((t) => t.name === 'test_simple_text'), 'tools/list');
assert.match(text(await client.callTool({name: 'test_simple_text', arguments: {}})), /simple text/);

const steps = [];
const onprogress = (p) => steps.push(p.progress);
await (generation === 'v1'
  ? client.callTool({name: 'test_tool_with_progress', arguments: {}}, undefined, {onprogress})
  : client.callTool({name: 'test_tool_with_progress', arguments: {}}, {onprogress}));
assert.deepEqual(steps, [0, 50, 100], 'progress');

if (generation !== 'v2auto') {
  assert.match(text(await client.callTool({name: 'test_sampling', arguments: {prompt: 'the answer?'}})), /forty-two/);
}
const {resources} = await client.listResources();
assert.ok(resources.length > 0, 'resources/list');
assert.ok((await client.readResource({uri: resources[0].uri})).contents.length > 0, 'resources/read');
assert.ok((await client.listPrompts()).prompts.length > 0, 'prompts/list');
await assert.rejects(async () => {
  const r = await client.callTool({name: 'no_such_tool', arguments: {}});
  if (r.isError) throw new Error('refused');
}, 'a tool that does not exist');
await client.close();
console.log('revision', revision);
