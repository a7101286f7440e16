// Package ledger is an append-only log in a folder: a write-ahead log of JSON lines
// whose records are the leaves of a Merkle tree (RFC 6962) with signed heads (C2SP
// tlog-checkpoint and signed-note). It knows nothing of what its records mean.
//
//	l, err := ledger.Open("audit", ledger.Options{})
//	err = l.Append(ctx, &ledger.Entry{Object: []byte(`{"event":"x"}`), Class: ledger.Require})
//	err = l.Close()
//	report, err := ledger.Verify(ctx, "audit", ledger.VerifyOptions{})
//
// # Files
//
// The folder has mode 0700 and holds segments, audit-NUMBER.jsonl by the number of
// their first record, with mode 0600. A segment's first line is its header: the name
// of the log, and the tree of the records before. Then come records,
// {"seq":N,"prev":"…",…}, numbered without gaps, each with the first eight bytes of
// the hash of the one before; and checkpoints, {"checkpoint":"…"}, about one a second
// while records come in and one at the end. A leaf of the tree is a record's line
// without its end, as it stands on the disk: anything that can hash and read C2SP
// notes can check it. ledger.pub holds the public keys; ledger.key the private one,
// unless Options.Key is used; ledger.lock keeps a second process out;
// ledger.reserve is space for the record that says that there is none. What a ledger
// moves aside it keeps, as torn-* and in quarantine-*.
//
// # What it withstands
//
// A crash of the process at any moment: what Append has acknowledged for [Require] is
// there, an unfinished line is cut off at the next start, and a record says so. A
// loss of power, as far as the disk keeps what it says it has. A full disk: what
// comes meanwhile is refused or counted, and a gap record has the exact number. A
// disk that fails to sync: the file is given up and what was not confirmed is written
// anew. Another program that renames, cuts, replaces or writes to the file in use:
// the log looks about once a second, goes on in a new segment, and a record says so.
// A signer that fails, hangs or answers nonsense: the log goes on unsigned, and signs
// later.
//
// Changes afterwards: [Verify] names the first record that is not what was written.
// Where the chain tells, that is the record or the one before it, since a link that
// does not fit may be wrong at either end; where whoever changed it has mended the
// chain, the first one since the last good checkpoint or anchor. [Prove] shows that a record is in the log to
// somebody who has only the public key.
//
// # What it does not withstand
//
// Whoever has the private key can write another history and sign it. It differs from
// every checkpoint that was taken elsewhere, which is what Options.OnCheckpoint is
// for. Whoever can write to the folder can cut off its end, back to the last
// checkpoint that somebody holds elsewhere; the report says how many records lie
// beyond ([Report.Signed], [Report.Anchored]). Dropping all checkpoints leaves a log
// without faults of which nothing is signed: look at that number. A segment's header
// is no leaf of the tree: its time, and its list of open calls, can be changed
// unnoticed. Records that were counted as lost but not yet written as a gap are
// forgotten when the process is killed. What is acknowledged in the second after
// another program has removed the file in use is gone with it, and missed. Before the
// next start, a log that a loss of power has left with zeros at its end is reported
// as changed. A disk that lies about what it has written cannot be helped.
package ledger
