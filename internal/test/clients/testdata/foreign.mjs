// Gets a token for another resource.
//   foreign.mjs ISSUER RESOURCE
const [issuer, resource] = process.argv.slice(2);
const answer = await fetch(`${issuer}/token`, {
  method: 'POST',
  headers: {authorization: `Basic ${btoa('plain:not-a-secret')}`, 'content-type': 'application/x-www-form-urlencoded'},
  body: new URLSearchParams({grant_type: 'client_credentials', scope: 'read', resource}),
});
const said = await answer.json();
if (!said.access_token) throw new Error(JSON.stringify(said));
console.log('token', said.access_token);
