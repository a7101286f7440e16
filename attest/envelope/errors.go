package envelope

import "errors"

// Errors that callers tell apart. Every other error is about the configuration, the
// context or a verifier itself.
var (
	// ErrBundle is about a file or bundle that is not as it must be.
	ErrBundle = errors.New("envelope: not a bundle this program reads")
	// ErrUntrusted is about bundles that nobody trusted has signed.
	ErrUntrusted = errors.New("envelope: no trusted signature")
	// ErrWindow is about a time outside the life of a key or certificate.
	ErrWindow = errors.New("envelope: outside the life of the key")
	// ErrConfig is about a verifier that was set up wrongly, and so trusts nobody.
	ErrConfig = errors.New("envelope: trust is not configured")
)
