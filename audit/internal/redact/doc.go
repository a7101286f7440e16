// Package redact decides what may stand in the record: which values of a call's
// arguments, and what must be blanked in the texts around it (names, reasons, details,
// identities, notes).
//
// # Arguments
//
// No value is shown unless an operator chose its path. A chosen path is withheld all
// the same if the tool's schema or a member name says that it is secret, or if what it
// holds has the form of a secret or is one: see [Policy.Arguments]. A schema that
// cannot be read, a reference that leaves it and a value too long to be searched count
// as secret.
//
// # Texts
//
// [Policy.Text] blanks
//
//   - by form: AWS access keys, session tokens and secret keys beside their name;
//     tokens of GitHub, GitLab, Slack (and its webhooks), Stripe (live), Google,
//     OpenAI, Anthropic, npm, PyPI, SendGrid, Twilio, Vault, DigitalOcean and Hugging
//     Face; JSON Web Tokens; PEM private keys, age keys; Azure SAS signatures and
//     account keys; Bearer and Basic credentials; user and password of a URL;
//   - by name: the value in password=x, "apiKey": "x", <Secret>x</Secret> and
//     Authorization: Token x, for the names that withhold an argument too;
//   - by value: the secrets that the process holds, of 8 bytes and more, as they are,
//     in hexadecimal digits, in base64 at any offset and of either alphabet, and with
//     any of their characters escaped for a URL, in JSON or as Go quotes them. The
//     first 32 bytes of a longer one are enough (24 in base64, 16 in hexadecimal).
//
// A filter on three bytes stands in front: a text without secrets is read once.
//
// # What it stops
//
// Secrets that reach the record by accident: in an argument that was meant to be
// shown, in a validator's complaint, in a connection string inside an error, in a
// tool or subject name. And a caller's attempts to use the record against its reader:
// member names chosen so that a wildcard lists a secret, floods of members that push a
// chosen path out, schemas with endless references, texts made to take quadratic time.
//
// # What it does not stop
//
// Somebody who wants a secret in the record: one that is split, reversed, encrypted,
// compressed, escaped or encoded twice, or spelled with other letters, is not found. A
// secret in no known form, under no telling name and not held is not found either: a
// password in a sentence, the plain value after a colon and a space (password:
// swordfish) unless it has a digit. Held secrets below 8 bytes are not looked for,
// because blanking them would blank everything.
//
// Over-redaction: a caller can send what looks like a secret to have words near it
// blanked, and words of a text that happen to look like one are lost. Codes, ids and
// numbers of a record should not be passed through it.
//
// A text that is cut before it comes here may end in a piece of a secret that is too
// short to be recognised. Blank first, cut afterwards.
package redact
