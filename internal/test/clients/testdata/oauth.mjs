// A client that finds its own way: refused, it reads whom to ask, gets a token for this
// server, and comes back. Prints the way it went and the token.
//   oauth.mjs (plain|certificate|dpop) URL ISSUER
import assert from 'node:assert/strict';
import {createHash, randomUUID} from 'node:crypto';
import {Client} from '@modelcontextprotocol/sdk/client/index.js';
import {StreamableHTTPClientTransport} from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {ClientCredentialsProvider} from '@modelcontextprotocol/sdk/client/auth-extensions.js';
import {generateKeyPair, exportJWK, SignJWT} from 'jose';

const [kind, url, issuer] = process.argv.slice(2);
const authProvider = new ClientCredentialsProvider({clientId: kind, clientSecret: 'not-a-secret', expectedIssuer: issuer});

const {privateKey, publicKey} = await generateKeyPair('ES256');
const jwk = await exportJWK(publicKey);
const proof = (method, target, token) => new SignJWT({
  htm: method, htu: target.split('?')[0], jti: randomUUID(),
  ...(token ? {ath: createHash('sha256').update(token).digest('base64url')} : {}),
}).setProtectedHeader({typ: 'dpop+jwt', alg: 'ES256', jwk}).setIssuedAt().sign(privateKey);

const way = [];
const watch = async (input, init = {}) => {
  const target = String(input);
  const headers = new Headers(init.headers);
  if (kind === 'dpop') {
    const token = headers.get('authorization')?.match(/^Bearer (.*)$/)?.[1];
    if (token) headers.set('authorization', `DPoP ${token}`);
    if (token || target === `${issuer}/token`) headers.set('dpop', await proof(init.method ?? 'GET', target, token));
  }
  const answer = await fetch(input, {...init, headers});
  way.push(`${init.method ?? 'GET'} ${new URL(target).pathname} ${answer.status}`);
  return answer;
};
const client = new Client({name: 'oauth', version: '1'});
const transport = new StreamableHTTPClientTransport(new URL(url), {authProvider, fetch: watch});
try {
  await client.connect(transport);
  const result = await client.callTool({name: 'test_simple_text', arguments: {}});
  assert.match(result.content[0].text, /simple text/);
  await client.close();
} finally {
  for (const step of way) console.log('way', step);
  console.log('token', (await authProvider.tokens())?.access_token);
}
