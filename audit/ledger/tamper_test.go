package ledger

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// A specimen is a log of 12 records, 4 in each of 3 segments, with a checkpoint
// after every second one.
type specimen struct {
	t       *testing.T
	dir     string
	key     *Key
	origin  string
	anchors []string // all of its checkpoints
}

func newSpecimen(t *testing.T, o Options) *specimen {
	t.Helper()
	s := &specimen{t: t, dir: folder(t)}
	clock := newClock()
	o.Linger = time.Hour
	o.OnCheckpoint = func(text string) { s.anchors = append(s.anchors, text) }
	l, err := open(s.dir, o, realMedia, clock.now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	for i := 0; i < 12; i += 2 {
		clock.add(2 * checkpointEvery)
		if i > 0 && i%4 == 0 {
			clock.add(2 * time.Hour) // a segment
		}
		if err := l.Append(t.Context(), &Entry{Object: object(fmt.Sprint(i)), Class: Bounded}); err != nil {
			t.Fatal(err)
		}
		must(t, l, fmt.Sprint(i+1)) // with one write
	}
	stop(t, l)
	s.key, s.origin = l.key, l.origin
	if r := sound(t, s.dir, 12); r.Segments != 3 || r.Checkpoints != 6 || r.Signed != 12 {
		t.Fatalf("not the log that these tests are about: %+v", r)
	}
	return s
}

// lines returns the lines of a segment, with their ends.
func (s *specimen) lines(segment int) []string {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, segmentName(uint64(4*segment))))
	if err != nil {
		s.t.Fatal(err)
	}
	lines := strings.SplitAfter(string(b), "\n")
	return lines[:len(lines)-1]
}

func (s *specimen) write(segment int, lines []string) {
	s.t.Helper()
	path := filepath.Join(s.dir, segmentName(uint64(4*segment)))
	if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// where returns the place of a record in the lines.
func where(lines []string, seq int) int {
	return slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, fmt.Sprintf(`{"seq":%d,`, seq)) })
}

// checkpoints returns the places of the checkpoints in the lines.
func checkpoints(lines []string) (at []int) {
	for i, l := range lines {
		if strings.HasPrefix(l, string(checkpointStart)) {
			at = append(at, i)
		}
	}
	return at
}

// rewrite is what somebody does who knows the format: records are changed, all
// links, numbers and headers recomputed. Checkpoints are dropped, kept as they are,
// or signed anew.
func (s *specimen) rewrite(change func(seq int, object string) string, keep bool, key *Key) {
	s.t.Helper()
	var tr tree
	hash := newLeafHasher()
	origin := s.origin
	names, err := segments(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	all := make([][]string, len(names))
	for i := range all {
		all[i] = s.lines(i)
	}
	for i, lines := range all {
		var out []byte
		h, err := parseHeader([]byte(strings.TrimSuffix(lines[0], "\n")))
		if err != nil {
			s.t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(s.dir, names[i])); err != nil {
			s.t.Fatal(err)
		}
		out = append(out, headerOf(origin, &tr, h.Time).line()...)
		name := segmentName(tr.size)
		for _, line := range lines[1:] {
			text := strings.TrimSuffix(line, "\n")
			if strings.HasPrefix(text, string(checkpointStart)) {
				switch {
				case key != nil:
					signed, err := note.Sign(&note.Note{Text: head{origin, tr.size, tr.root()}.text()}, key)
					if err != nil {
						s.t.Fatal(err)
					}
					out = appendCheckpoint(out, string(signed))
				case keep:
					out = append(out, line...)
				}
				continue
			}
			seq, _, ok := parseRecord([]byte(text))
			if !ok {
				s.t.Fatalf("%q", text)
			}
			object := "{" + text[strings.Index(text, `"prev":"`)+8+2*prevBytes+2:]
			if object = change(int(seq), object); object == "" {
				continue
			}
			start := len(out)
			out = appendRecord(out, tr.size, &tr.last, []byte(object))
			tr.push(hash.leaf(out[start:]), nil)
			out = append(out, '\n')
		}
		if err := os.WriteFile(filepath.Join(s.dir, name), out, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
}

// forge changes one record.
func forge(victim int) func(int, string) string {
	return func(seq int, object string) string {
		if seq == victim {
			return strings.Replace(object, "tools/call", "tools/list", 1)
		}
		return object
	}
}

func otherKey(t *testing.T, name string) *Key {
	t.Helper()
	k, err := makeKey(filepath.Join(t.TempDir(), "key"), name)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Each way to change a log is found, and the report names the first bad record. What
// only an anchor can tell is marked so.
func TestTampering(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		tamper     func(s *specimen)
		seq        uint64 // that the report names
		says       string
		anchorOnly bool
	}{
		"a record changed": {tamper: func(s *specimen) {
			lines := s.lines(1)
			i := where(lines, 4)
			lines[i] = strings.Replace(lines[i], "tools/call", "tools/list", 1)
			s.write(1, lines)
		}, seq: 4, says: "not the one that record 5 was written after"},
		"the last record before a checkpoint changed": {tamper: func(s *specimen) {
			lines := s.lines(1)
			i := where(lines, 5)
			lines[i] = strings.Replace(lines[i], "tools/call", "tools/list", 1)
			s.write(1, lines)
		}, seq: 4, says: "of the records 4 to 5, at least one is not what was signed"},
		"a link changed": {tamper: func(s *specimen) {
			lines := s.lines(1)
			i := where(lines, 6)
			at := strings.Index(lines[i], `"prev":"`) + 8
			lines[i] = lines[i][:at] + "0123456789abcdef" + lines[i][at+16:]
			s.write(1, lines)
		}, seq: 5, says: "not the one that record 6 was written after"},
		"a record removed": {tamper: func(s *specimen) {
			lines := s.lines(1)
			i := where(lines, 5)
			s.write(1, slices.Delete(lines, i, i+1))
		}, seq: 5, says: "a record is missing: the checkpoint covers 6 records, and 5 are here"},
		"a record inserted": {tamper: func(s *specimen) {
			lines := s.lines(1)
			i := where(lines, 5)
			s.write(1, slices.Insert(lines, i, strings.Replace(lines[i], `"id":"5"`, `"id":"five"`, 1)))
		}, seq: 6, says: "record 6 belongs here"},
		"a record twice": {tamper: func(s *specimen) {
			lines := s.lines(1)
			i := where(lines, 5)
			s.write(1, slices.Insert(lines, i, lines[i]))
		}, seq: 6, says: "the line is record 5, and record 6 belongs here"},
		"two records swapped": {tamper: func(s *specimen) {
			lines := s.lines(1)
			i := where(lines, 4)
			lines[i], lines[i+1] = lines[i+1], lines[i]
			s.write(1, lines)
		}, seq: 4, says: "record 4 belongs here"},
		"an empty line": {tamper: func(s *specimen) {
			lines := s.lines(1)
			s.write(1, slices.Insert(lines, where(lines, 5), "\n"))
		}, seq: 5, says: "no record"},
		"CRLF": {tamper: func(s *specimen) {
			lines := s.lines(1)
			i := where(lines, 5)
			lines[i] = strings.TrimSuffix(lines[i], "\n") + "\r\n"
			s.write(1, lines)
		}, seq: 5, says: "no record"},
		"a number with a zero in front": {tamper: func(s *specimen) {
			lines := s.lines(1)
			i := where(lines, 5)
			lines[i] = strings.Replace(lines[i], `"seq":5`, `"seq":05`, 1)
			s.write(1, lines)
		}, seq: 5, says: "no record"},
		"a number that wraps": {tamper: func(s *specimen) {
			lines := s.lines(1)
			i := where(lines, 5)
			lines[i] = strings.Replace(lines[i], `"seq":5`, `"seq":18446744073709551621`, 1)
			s.write(1, lines)
		}, seq: 5, says: "no record"},
		"a line of 3 MiB": {tamper: func(s *specimen) {
			lines := s.lines(1)
			s.write(1, slices.Insert(lines, where(lines, 5), strings.Repeat("x", 3<<20)+"\n"))
		}, seq: 5, says: "longer than"},
		"a header in the middle": {tamper: func(s *specimen) {
			lines := s.lines(1)
			s.write(1, slices.Insert(lines, where(lines, 5), lines[0]))
		}, seq: 5, says: "no record"},
		"a header removed": {tamper: func(s *specimen) {
			s.write(1, s.lines(1)[1:])
		}, seq: 4, says: "no header"},
		"a header of another log": {tamper: func(s *specimen) {
			lines := s.lines(1)
			lines[0] = strings.Replace(lines[0], s.origin, s.origin[:len(s.origin)-1]+"~", 1)
			s.write(1, lines)
		}, seq: 4, says: "another log"},
		"the whole log renamed": {tamper: func(s *specimen) {
			for i := range 3 {
				lines := s.lines(i)
				lines[0] = strings.Replace(lines[0], s.origin, s.origin[:len(s.origin)-1]+"~", 1)
				s.write(i, lines)
			}
		}, seq: 1, says: "of another log"},
		"a header that counts less of the segment before": {tamper: func(s *specimen) {
			lines := s.lines(1)
			lines[0] = strings.Replace(lines[0], `"time":`, `"before":600,"time":`, 1)
			s.write(1, lines)
		}, seq: 2, says: "records 2 to 3 are missing"},
		"a header that counts 2^62 bytes of the segment before": {tamper: func(s *specimen) {
			lines := s.lines(1)
			lines[0] = strings.Replace(lines[0], `"time":`, `"before":4611686018427387904,"time":`, 1)
			s.write(1, lines)
			last := s.lines(0)
			s.write(0, last[:where(last, 3)])
		}, seq: 3, says: "records 3 to 3 are missing"},
		"the first segment removed": {tamper: func(s *specimen) {
			s.remove(0)
		}, seq: 0, says: "no record says that they were pruned"},
		"a segment in the middle removed": {tamper: func(s *specimen) {
			s.remove(1)
		}, seq: 4, says: "records 4 to 7 are missing"},
		"two segments exchanged": {tamper: func(s *specimen) {
			a, b := s.lines(0), s.lines(1)
			s.write(0, b)
			s.write(1, a)
		}, seq: 0, says: "do not agree"},
		"the last segment removed": {tamper: func(s *specimen) {
			s.remove(2)
		}, seq: 8, says: "the end was cut off", anchorOnly: true},
		"the tail cut behind a checkpoint": {tamper: func(s *specimen) {
			lines := s.lines(2)
			s.write(2, lines[:checkpoints(lines)[0]+1])
		}, seq: 10, says: "the end was cut off", anchorOnly: true},
		"the tail cut in the middle of a record": {tamper: func(s *specimen) {
			lines := s.lines(2)
			i := where(lines, 11)
			s.write(2, append(lines[:i:i], lines[i][:30]))
		}, seq: 11, says: "the end was cut off", anchorOnly: true},
		"the chain recomputed": {tamper: func(s *specimen) {
			s.rewrite(forge(5), true, nil)
		}, seq: 4, says: "of the records 4 to 5, at least one is not what was signed"},
		"the chain recomputed, the first record changed": {tamper: func(s *specimen) {
			s.rewrite(forge(0), true, nil)
		}, seq: 0, says: "at least one is not what was signed"},
		"the chain recomputed and signed with another key": {tamper: func(s *specimen) {
			s.rewrite(forge(5), true, otherKey(s.t, s.origin))
		}, seq: 1, says: "another key"},
		"the chain recomputed, checkpoints dropped": {tamper: func(s *specimen) {
			s.rewrite(forge(5), false, nil)
		}, seq: 4, says: "the log was rewritten", anchorOnly: true},
		"the chain recomputed and signed with the real key": {tamper: func(s *specimen) {
			s.rewrite(forge(5), true, s.key)
		}, seq: 4, says: "the log was rewritten", anchorOnly: true},
		"a record taken out, and all signed with the real key": {tamper: func(s *specimen) {
			s.rewrite(func(seq int, o string) string {
				if seq == 11 {
					return ""
				}
				return o
			}, true, s.key)
		}, seq: 11, says: "the end was cut off", anchorOnly: true},
		"the beginning removed, and a record forged that says so": {tamper: func(s *specimen) {
			s.rewrite(func(seq int, o string) string {
				if seq == 9 {
					return string((&report{Event: eventPruned, Reason: "the log has reached its size limit", Notes: map[string]string{"next": "4"}}).object())
				}
				return o
			}, true, nil)
			s.remove(0)
		}, seq: 8, says: "not what was signed"},
		"a checkpoint signed by another key": {tamper: func(s *specimen) {
			lines := s.lines(1)
			at := checkpoints(lines)[0]
			signed := resign(s.t, lines[at], otherKey(s.t, s.origin))
			lines[at] = signed
			s.write(1, lines)
		}, seq: 5, says: "another key"},
		"a checkpoint rolled back": {tamper: func(s *specimen) {
			lines := s.lines(1)
			at := checkpoints(lines)
			lines[at[1]] = lines[at[0]]
			s.write(1, lines)
		}, seq: 7, says: "covers 6 records, and 8 are here"},
		"a checkpoint moved forward": {tamper: func(s *specimen) {
			lines := s.lines(1)
			at := checkpoints(lines)
			lines[at[0]] = lines[at[1]]
			s.write(1, lines)
		}, seq: 6, says: "covers 8 records, and 6 are here"},
		"a checkpoint that is none": {tamper: func(s *specimen) {
			lines := s.lines(1)
			lines[checkpoints(lines)[0]] = `{"checkpoint":"all is well"}` + "\n"
			s.write(1, lines)
		}, seq: 5, says: "signature is wrong"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSpecimen(t, Options{})
			last := s.anchors[len(s.anchors)-1]
			keys := []note.Verifier{s.key.Verifier()}
			test.tamper(s)
			r, err := Verify(t.Context(), s.dir, VerifyOptions{Keys: keys})
			if err != nil {
				t.Fatal(err)
			}
			if test.anchorOnly {
				if len(r.Faults) > 0 {
					t.Errorf("found without an anchor: %+v", r)
				}
				if r.Signed == 12 && !strings.Contains(name, "real key") {
					t.Error("the report says that everything is signed")
				}
				if strings.Contains(name, "real key") && r.Signed < 11 {
					t.Errorf("signed %d", r.Signed)
				}
				r, err = Verify(t.Context(), s.dir, VerifyOptions{Keys: keys, Anchors: s.anchors})
				if err != nil {
					t.Fatal(err)
				}
			}
			if len(r.Faults) == 0 || r.Faults[0].Seq != test.seq || !strings.Contains(r.Faults[0].Reason, test.says) {
				t.Errorf("want record %d, %q; got %+v", test.seq, test.says, r.Faults)
			}
			// An anchor never makes a changed log good.
			if r, err = Verify(t.Context(), s.dir, VerifyOptions{Keys: keys, Anchors: []string{last}}); err != nil || len(r.Faults) == 0 {
				t.Errorf("with an anchor: %+v %v", r, err)
			}
		})
	}
}

func (s *specimen) remove(segment int) {
	s.t.Helper()
	if err := os.Remove(filepath.Join(s.dir, segmentName(uint64(4*segment)))); err != nil {
		s.t.Fatal(err)
	}
}

// resign signs a checkpoint with another key.
func resign(t *testing.T, line string, key *Key) string {
	t.Helper()
	text, err := parseCheckpoint([]byte(strings.TrimSuffix(line, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	body, _, _ := strings.Cut(text, "\n\n")
	signed, err := note.Sign(&note.Note{Text: body + "\n"}, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(appendCheckpoint(nil, string(signed)))
}

// Every bit counts: one flipped in every byte of every file is found, and the record
// that is named is the one, or the one before, or the first since the last checkpoint;
// where two lines become one, the one after.
// Only in a header is there something that nothing depends on: its time.
func TestEveryByteFlipped(t *testing.T) {
	t.Parallel()
	s := newSpecimen(t, Options{})
	var unnoticed int
	for segment := range 3 {
		lines := s.lines(segment)
		whole := strings.Join(lines, "")
		path := filepath.Join(s.dir, segmentName(uint64(4*segment)))
		at := 0
		for _, line := range lines {
			seq, _, record := parseRecord([]byte(strings.TrimSuffix(line, "\n")))
			timeAt := strings.Index(line, `"time":"`) + len(`"time":"`)
			for i := range line {
				changed := []byte(whole)
				changed[at+i] ^= 1 << (i % 8)
				if err := os.WriteFile(path, changed, 0o600); err != nil {
					t.Fatal(err)
				}
				r, err := Verify(t.Context(), s.dir, VerifyOptions{})
				switch {
				case err != nil:
					t.Fatal(err)
				case len(r.Faults) > 0 && record && i < len(line)-1 && (r.Faults[0].Seq > seq || r.Faults[0].Seq+2 <= seq):
					t.Errorf("record %d, byte %d: the report names %+v", seq, i, r.Faults[0])
				case len(r.Faults) > 0:
				case r.Signed < 12 && segment == 2: // the last checkpoint is none any more, and the report says so
				case strings.HasPrefix(line, string(headerStart)) && i >= timeAt && i < timeAt+25:
					unnoticed++
				case !record && strings.HasPrefix(line, string(checkpointStart)) && bytes.EqualFold([]byte(line), changed[at:at+len(line)]):
					t.Errorf("a checkpoint with other letters is accepted: %q", changed[at:at+len(line)])
				default:
					t.Errorf("%s, byte %d (%q to %q) of %q: unnoticed", path, i, line[i], changed[at+i], line)
				}
			}
			at += len(line)
		}
		if err := os.WriteFile(path, []byte(whole), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sound(t, s.dir, 12)
	t.Logf("%d flips in the times of headers were unnoticed", unnoticed)
}

// The key may change; checkpoints of the old one still count, even if the change is
// taken back.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	first, second := otherKey(t, "log"), otherKey(t, "log")
	for i, key := range []*Key{first, second, first, second} {
		l := start(t, dir, Options{Origin: "log", Key: key})
		must(t, l, fmt.Sprint(i))
		stop(t, l)
	}
	all := holds(t, dir, "0", "1", "2", "3")
	if n := strings.Count(all, "signed by another key from here on"); n != 3 {
		t.Errorf("%d records tell of 3 changes of the key", n)
	}
	r, err := Verify(t.Context(), dir, VerifyOptions{})
	if err != nil || len(r.Faults) > 0 || r.Signed != 7 {
		t.Fatalf("%+v %v", r, err)
	}
	keys := []note.Verifier{second.Verifier(), first.Verifier(), first.Verifier()}
	if r, err := Verify(t.Context(), dir, VerifyOptions{Keys: keys}); err != nil || len(r.Faults) > 0 {
		t.Errorf("a key given twice: %+v %v", r, err)
	}
	if r, err := Verify(t.Context(), dir, VerifyOptions{Keys: keys[:1]}); err != nil || len(r.Faults) == 0 {
		t.Errorf("only one key is trusted, and those of the other count: %+v %v", r, err)
	}
}

// An anchor of another log, or by another key, is no anchor.
func TestWrongAnchors(t *testing.T) {
	t.Parallel()
	s := newSpecimen(t, Options{Origin: "one"})
	other := newSpecimen(t, Options{Origin: "two", Key: s.key})
	if r, err := Verify(t.Context(), s.dir, VerifyOptions{Anchors: other.anchors}); err != nil || len(r.Faults) == 0 || !strings.Contains(r.Faults[0].Reason, "another log") {
		t.Errorf("%+v %v", r, err)
	}
	stranger := newSpecimen(t, Options{Origin: "one"})
	if r, err := Verify(t.Context(), s.dir, VerifyOptions{Anchors: stranger.anchors}); err == nil {
		t.Errorf("%+v", r)
	}
	if r, err := Verify(t.Context(), s.dir, VerifyOptions{Anchors: s.anchors}); err != nil || r.Anchored != 12 || len(r.Faults) > 0 {
		t.Errorf("its own anchors: %+v %v", r, err)
	}
}
