// A certified authorization server for the machine-to-machine clients of oauth.mjs:
// resource indicators, JWT access tokens, tokens bound to certificates and to keys.
//   provider.mjs SERVER.pem SERVER.key
import {generateKeyPairSync} from 'node:crypto';
import {readFileSync} from 'node:fs';
import {createServer} from 'node:https';
import {Provider} from 'oidc-provider';

const [cert, key] = process.argv.slice(2).map((f) => readFileSync(f));
const server = createServer({cert, key, requestCert: true, rejectUnauthorized: false});
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const issuer = `https://localhost:${server.address().port}`;

const jwk = generateKeyPairSync('ec', {namedCurve: 'P-256'}).privateKey.export({format: 'jwk'});
const machine = (id, more) => ({
  client_id: id, client_secret: 'not-a-secret', grant_types: ['client_credentials'],
  redirect_uris: [], response_types: [], token_endpoint_auth_method: 'client_secret_basic', id_token_signed_response_alg: 'ES256', ...more,
});
const provider = new Provider(issuer, {
  jwks: {keys: [{...jwk, alg: 'ES256', use: 'sig', kid: 'one'}]},
  clients: [
    machine('plain'),
    machine('certificate', {tls_client_certificate_bound_access_tokens: true}),
    machine('dpop', {dpop_bound_access_tokens: true}),
  ],
  scopes: ['read'],
  features: {
    devInteractions: {enabled: false},
    clientCredentials: {enabled: true},
    dPoP: {enabled: true},
    mTLS: {
      enabled: true, certificateBoundAccessTokens: true,
      getCertificate: (ctx) => {
        const peer = ctx.socket.getPeerX509Certificate?.();
        return peer?.toString();
      },
    },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_ctx, resource) => ({
        scope: 'read', audience: resource, accessTokenFormat: 'jwt', accessTokenTTL: 300, jwt: {sign: {alg: 'ES256'}},
      }),
    },
  },
});
server.on('request', provider.callback());
console.log('ready', issuer);
process.on('SIGINT', () => process.exit(0));
