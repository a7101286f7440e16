// Package lint finds in tool definitions what nobody should sign, because the reviewer
// and the model do not see the same, or because a pin on it would not hold.
//
//	for _, f := range lint.Definitions(set) {
//		if f.Severity == lint.Error { ... do not sign ... }
//	}
//
// # What it finds
//
// Characters that a reader does not see and a model does: controls and terminal
// sequences, bidirectional controls, zero-width characters, tags, variation selectors
// outside emoji, private use; white space that moves a text out of sight. Words of two
// alphabets. Two names that a reader takes for one. Names outside what MCP recommends. JSON
// that two programs read in two ways, and numbers that the canonical form (RFC 8785)
// changes. What can change after it was signed: icons and schemas that are fetched,
// metadata that looks like a time or an identifier of one listing. Annotations that
// contradict each other.
//
// # What it does not find
//
// Bad intentions in plain words: that a text tells a model to send secrets away is for a
// reader, or for content inspection, to find. Look-alikes beyond its tables: the tables
// hold the letters of other alphabets that are commonly mistaken for Latin ones. Hidden
// text in images.
package lint
