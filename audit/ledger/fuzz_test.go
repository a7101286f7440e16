package ledger

import (
	"bytes"
	"crypto/ed25519"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

func fuzzKey(f *testing.F) *Key {
	f.Helper()
	k, err := NewKey("log", ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		f.Fatal(err)
	}
	return k
}

// A header that is read is written as what it means, and gives a tree of its size.
func FuzzHeader(f *testing.F) {
	var t tree
	hash := newLeafHasher()
	for range 5 {
		t.push(hash.leaf([]byte("x")), nil)
	}
	f.Add(bytes.TrimSuffix(headerOf("log", &t, time.Unix(1, 0)).line(), newline))
	f.Add([]byte(`{"ledger":"mcpsec-audit/1","origin":"x","first":18446744073709551615,"time":"2026-11-22T10:00:00Z","before":-1}`))
	f.Add([]byte(`{"ledger":"mcpsec-audit/1","first":-1}`))
	f.Add([]byte(`{"ledger":` + strings.Repeat("[", 1000)))
	f.Fuzz(func(t *testing.T, line []byte) {
		h, err := parseHeader(line)
		if err != nil {
			return
		}
		if tr, err := h.tree(); err == nil && tr.size != h.First {
			t.Errorf("a tree of %d for %d", tr.size, h.First)
		} else if err == nil {
			tr.root()
			tr.subtrees(func(int, int64, tlog.Hash) {})
			tr.push([32]byte{}, nil)
		}
		again, err := parseHeader(bytes.TrimSuffix(h.line(), newline))
		if err != nil || again.First != h.First || again.Before != h.Before || len(again.Open) != len(h.Open) {
			t.Errorf("%q is read again as %+v, %v", h.line(), again, err)
		}
	})
}

// A record that is read is one that would be written.
func FuzzRecord(f *testing.F) {
	var t tree
	f.Add(appendRecord(nil, 0, &t.last, object("x")))
	f.Add([]byte(`{"seq":9999999999999999999,"prev":"0123456789abcdef",}`))
	f.Add([]byte(`{"seq":00,"prev":"0123456789abcdef","a":1}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		seq, prev, ok := parseRecord(line)
		if !ok {
			return
		}
		var last tlog.Hash
		copy(last[:], prev[:])
		at := bytes.Index(line, []byte(`"prev":"`)) + 8 + 2*prevBytes + 1
		back := appendRecord(nil, seq, &last, append([]byte{'{'}, line[at+1:]...))
		if !bytes.EqualFold(back, line) { // hexadecimal digits have two forms
			t.Errorf("%q is written as %q", line, back)
		}
	})
}

// A checkpoint that is believed was signed.
func FuzzCheckpoint(f *testing.F) {
	key := fuzzKey(f)
	var tr tree
	text, err := (&signing{key: key, timeout: time.Minute}).head(head{"log", 0, tr.root()})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.TrimSuffix(appendCheckpoint(nil, text), newline))
	f.Add([]byte(`{"checkpoint":"log\n18446744073709551615\nAAAA\n\n— log x\n"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		got, err := parseCheckpoint(line)
		if err != nil {
			return
		}
		h, err := openHead(got, keyring{key.Verifier()})
		if err == nil && (h.origin != "log" || h.size != 0 || h.root != tr.root()) {
			t.Errorf("%q is believed", got)
		}
		body, _, _ := strings.Cut(got, "\n\n")
		if h, err := parseHead(body + "\n"); err == nil && !strings.HasPrefix(body+"\n", h.text()) {
			t.Errorf("%q is read as %q", body, h.text())
		}
	})
}

// Whatever stands in a segment, nothing panics; and a log that is found good has no
// record that was not written.
func FuzzSegment(f *testing.F) {
	key := fuzzKey(f)
	dir := filepath.Join(f.TempDir(), "audit")
	l, err := Open(dir, Options{Origin: "log", Key: key})
	if err != nil {
		f.Fatal(err)
	}
	for _, id := range []string{"0", "1", "2"} {
		if err := l.Append(f.Context(), &Entry{Object: object(id)}); err != nil {
			f.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(filepath.Join(dir, segmentName(0)))
	if err != nil {
		f.Fatal(err)
	}
	anchors, err := ReadAnchors(filepath.Join(dir, segmentName(0)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-10])
	f.Add(bytes.ReplaceAll(good, newline, []byte("\r\n")))
	f.Add(append(bytes.Clone(good), make([]byte, 100)...))
	f.Fuzz(func(t *testing.T, content []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, segmentName(0)), content, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Scan(dir, 0)
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; ; n++ {
			if _, err := s.Next(); err != nil {
				break
			}
			if n > len(content) {
				t.Fatal("more lines than bytes")
			}
		}
		_ = s.Close()
		r, err := Verify(t.Context(), dir, VerifyOptions{Keys: verifiers(l), Anchors: anchors})
		if err == nil && len(r.Faults) == 0 {
			for id, line := range bytes.SplitAfter(good, newline)[1:] {
				if bytes.HasPrefix(line, seqStart) && !bytes.Contains(content, line) {
					t.Errorf("found good without record %d", id)
				}
			}
		}
		_, _ = Prove(t.Context(), dir, 1, nil)
		again, err := Open(dir, Options{Origin: "log", Key: key})
		if err != nil {
			return
		}
		if err := again.Append(t.Context(), &Entry{Object: object("next")}); err != nil {
			t.Error(err)
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
		if r, err := Verify(t.Context(), dir, VerifyOptions{Keys: verifiers(l)}); err != nil || len(r.Faults) > 0 && r.First == 0 {
			t.Errorf("opened and continued, and not sound: %+v %v", r, err)
		}
	})
}

func FuzzProof(f *testing.F) {
	key := fuzzKey(f)
	f.Add((&Proof{Record: []byte(`{"seq":0,"prev":"0000000000000000","a":1}`), Checkpoint: "log\n1\n"}).Text())
	f.Add([]byte(proofStart + "\nextra \nindex 18446744073709551615\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParseProof(text)
		if err != nil {
			return
		}
		if p.Check(key.Verifier()) == nil {
			t.Errorf("%q proves something", text)
		}
		if again, err := ParseProof(p.Text()); err != nil || again.Index != p.Index || !bytes.Equal(again.Record, p.Record) {
			t.Errorf("%q is read again as %+v %v", p.Text(), again, err)
		}
	})
}

func FuzzVerifier(f *testing.F) {
	f.Add(fuzzKey(f).String())
	f.Add("log+00000000+AgAA")
	f.Fuzz(func(t *testing.T, text string) {
		v, err := ParseVerifier(text)
		if err != nil {
			return
		}
		if !strings.HasPrefix(text, v.Name()+"+") || v.Verify([]byte("x"), make([]byte, 64)) {
			t.Errorf("%q is a key named %q", text, v.Name())
		}
	})
}

func FuzzAnchors(f *testing.F) {
	f.Add([]byte("{\"checkpoint\":\"a\"}\n"))
	f.Add([]byte("log\n1\nx\n\n— log x\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		anchors, err := readAnchors(struct{ io.Reader }{bytes.NewReader(content)})
		if (err == nil) != (len(anchors) > 0) {
			t.Errorf("%d anchors and %v", len(anchors), err)
		}
	})
}
