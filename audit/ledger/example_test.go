package ledger_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/mcpsec/mcpsec-go/audit/ledger"
)

func Example() {
	ctx := context.Background()
	parent, err := os.MkdirTemp("", "ledger")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(parent)
	dir := filepath.Join(parent, "audit")

	// A server writes. Checkpoints go to where its owner cannot change them.
	var elsewhere []string
	l, err := ledger.Open(dir, ledger.Options{
		Origin:       "example",
		OnCheckpoint: func(text string) { elsewhere = append(elsewhere, text) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, name := range []string{"search", "read", "write"} {
		record := fmt.Appendf(nil, `{"event":"outcome","name":%q}`, name)
		if err := l.Append(ctx, &ledger.Entry{Object: record, Class: ledger.Require}); err != nil {
			fmt.Println("the call must not happen:", err)
		}
	}
	if err := l.Close(); err != nil {
		fmt.Println(err)
	}

	// An auditor verifies.
	r, err := ledger.Verify(ctx, dir, ledger.VerifyOptions{Anchors: elsewhere})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Records, "records,", r.Signed, "signed,", r.Anchored, "anchored,", len(r.Faults), "faults")

	// And shows one record to somebody who has only the key.
	p, err := ledger.Prove(ctx, dir, 1, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	theirs, err := ledger.ParseProof(p.Text())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(theirs.Check(l.Key().Verifier()), theirs.Index)
	// Output:
	// 3 records, 3 signed, 3 anchored, 0 faults
	// <nil> 1
}

func ExampleReadAnchors() {
	dir, err := os.MkdirTemp("", "ledger")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "anchors.jsonl")
	lines := `{"checkpoint":"example\n1\n…"}` + "\n" + `{"event":"outcome"}` + "\n" + `{"checkpoint":"example\n2\n…"}` + "\n"
	if err := os.WriteFile(path, []byte(lines), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	anchors, err := ledger.ReadAnchors(path)
	fmt.Println(len(anchors), err)
	// Output: 2 <nil>
}
