// Package keyring takes secrets from the keyring of the operating system: the login
// keychain of macOS, the Credential Manager of Windows, the Secret Service of a Linux
// desktop. It is for development.
//
//	creds.Named("github", keyring.Secret("my-mcp-server", "github"))
//
// # What it stops
//
// A token in a shell profile, an .env file or a client's configuration while a server
// is being written.
//
// # What it does not stop
//
// Any other program of the same user: an unlocked keyring answers whoever asks. It
// narrows nothing, issues nothing and expires nothing. There is usually none on a
// server, and the library behind it finds the session bus of a Linux desktop by the
// environment.
package keyring
