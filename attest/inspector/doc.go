// Package inspector asks Amazon Inspector about a bill of materials, as an optional
// second opinion of the vulnerability gate: one call of ScanSbom, which needs no
// installation and no agent.
//
//	verdict, err := inspector.New(config).Scan(ctx, &gate, bill)
//
// The credentials are those of the given configuration, whose caller needs
// inspector-scan:ScanSbom and nothing else. Nothing is looked up in the environment.
//
// # What it stops
//
// A release with a vulnerability that Inspector knows, under the same exceptions and
// severities as any other report of the gate in package vuln.
//
// # What it does not stop
//
// What Inspector does not know. Components it has no rules for are listed in the verdict
// as unjudged; a bill of which it judged nothing is refused. The answer is believed
// because of TLS: it bears no signature.
package inspector
