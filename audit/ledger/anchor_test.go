package ledger

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestReadAnchors(t *testing.T) {
	t.Parallel()
	const note = "log\n1\nAAAA\n\n— log x\n"
	line := func(text string) string {
		b, err := json.Marshal(map[string]any{"event": "checkpoint", "checkpoint": text, "size": 1})
		if err != nil {
			t.Fatal(err)
		}
		return string(b) + "\n"
	}
	record := `{"seq":1,"prev":"00","event":"x","checkpoint":7}` + "\n"
	nested := `{"seq":1,"arguments":{"checkpoint":"forged"},"why":"\"checkpoint\""}` + "\n"
	tests := []struct {
		name, text string
		want       []string
		fails      string
	}{
		{"one checkpoint as it is", note, []string{note}, ""},
		{"lines of an anchor file", line("a") + line("b"), []string{"a", "b"}, ""},
		{"delivered twice", line("a") + line("a") + line("b"), []string{"a", "b"}, ""},
		{"among shipped records", record + line("a") + nested + line("b") + record, []string{"a", "b"}, ""},
		{"spaces after the colon", `{"checkpoint": "a"}` + "\n", []string{"a"}, ""},
		{"CRLF", strings.ReplaceAll(line("a")+line("b"), "\n", "\r\n"), []string{"a", "b"}, ""},
		{"last line without end", line("a") + strings.TrimSpace(line("b")), []string{"a", "b"}, ""},
		{"last line unfinished", line("a") + line("b")[:20], []string{"a"}, ""},
		{"empty", "", nil, "no checkpoint"},
		{"only an unfinished line", line("a")[:20], nil, "no checkpoint"},
		{"only records", record + nested, nil, "no checkpoint"},
		{"a line in the middle is broken", line("a") + `{"checkpoint":"b` + "\n" + line("c"), nil, "line 2"},
		{"an overlong checkpoint", line(strings.Repeat("x", maxAnchor+1)), nil, "line 1"},
		{"an overlong line", "{" + strings.Repeat(" ", 3*maxLine), nil, "longer"},
		{"a large file of something else", strings.Repeat("x", maxAnchor+1), nil, "no checkpoint"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "anchors")
			if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := ReadAnchors(path)
			if (err != nil) != (test.fails != "") || err != nil && !strings.Contains(err.Error(), test.fails) {
				t.Errorf("error %v, want %q", err, test.fails)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestReadAnchorsOfWhatIsNoFile(t *testing.T) {
	t.Parallel()
	if _, err := ReadAnchors(t.TempDir()); err == nil {
		t.Error("read a folder")
	}
	if _, err := ReadAnchors(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("read what is not there")
	}
}

// A segment, what the ledger gave out, and a checkpoint saved as it is, are all
// anchors of the log.
func TestEveryFormOfAnchorVerifies(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	var given []string
	l := start(t, dir, Options{OnCheckpoint: func(text string) { given = append(given, text) }})
	put(t, l, 0, 10)
	stop(t, l)
	l = start(t, dir, Options{OnCheckpoint: func(text string) { given = append(given, text) }})
	put(t, l, 10, 20)
	stop(t, l)
	var lines []byte
	for _, text := range given {
		lines = appendCheckpoint(lines, text)
	}
	elsewhere := t.TempDir()
	for name, content := range map[string][]byte{"lines": lines, "note": []byte(given[len(given)-1])} {
		if err := os.WriteFile(filepath.Join(elsewhere, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{filepath.Join(elsewhere, "lines"), filepath.Join(elsewhere, "note"), filepath.Join(dir, segmentName(0))} {
		anchors, err := ReadAnchors(path)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Verify(t.Context(), dir, VerifyOptions{Anchors: anchors})
		if err != nil || len(r.Faults) > 0 || r.Anchored != 20 {
			t.Errorf("%s: %s, %v", path, fmt.Sprintf("%+v", r), err)
		}
	}
}
