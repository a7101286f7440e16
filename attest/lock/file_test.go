package lock

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/printable"
)

// define makes a definition of a tool.
func define(tb testing.TB, how How, wire string) *Definition {
	tb.Helper()
	d, err := Tool.show([]byte(wire))
	if err != nil {
		tb.Fatal(err)
	}
	return &Definition{SHA256: d.sha256, How: how, At: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), Text: d.text}
}

func sample(tb testing.TB) []byte {
	tb.Helper()
	file := &File{Servers: map[string]*Server{"files": {
		Artifact: &Artifact{Name: "files", SHA256: strings.Repeat("0", 64)},
		Tools: map[string]*Definition{
			"a": define(tb, Reviewed, `{"name":"a","description":"<b>\u202e\u200b\u0007","n":1e2}`),
			"b": define(tb, OnFirstUse, `{"name":"b"}`),
		},
		Prompts: map[string]*Definition{},
	}}}
	data, err := file.Encode()
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// A file comes out as it went in, in one form, and shows what it holds.
func TestEncode(t *testing.T) {
	t.Parallel()
	data := sample(t)
	file, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	again, err := file.Encode()
	if err != nil || !bytes.Equal(data, again) {
		t.Errorf("%v\n%s\n%s", err, data, again)
	}
	for _, r := range string(data) {
		if r != '\n' && printable.Hidden(r) {
			t.Errorf("%U is in the file", r)
		}
	}
	if !bytes.Contains(data, []byte(`"description": "<b>\u202e\u200b\u0007"`)) {
		t.Errorf("the description is not readable:\n%s", data)
	}
	s := file.Servers["files"]
	if s.Prompts == nil || s.Resources != nil {
		t.Error("an empty list and none are the same")
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	good := string(sample(t))
	digest := define(t, Reviewed, `{"name":"b"}`).SHA256
	for name, text := range map[string]string{
		"nothing":                        "",
		"null":                           "null",
		"an array":                       "[]",
		"no version":                     `{"servers":{}}`,
		"a future version":               `{"lockVersion":2,"servers":{}}`,
		"an unknown member":              strings.Replace(good, `"servers"`, `"more": 1, "servers"`, 1),
		"a member in another case":       strings.Replace(good, `"servers"`, `"Servers"`, 1),
		"a duplicate":                    strings.Replace(good, `"lockVersion": 1`, `"lockVersion": 1, "lockVersion": 1`, 1),
		"a duplicate tool":               strings.Replace(good, `"tools": {`, `"tools": {"a": null, `, 1),
		"data after the end":             good + "{}",
		"a byte order mark":              "\ufeff" + good,
		"text edited without the digest": strings.Replace(good, `"name": "b"`, `"name": "b", "description": "x"`, 1),
		"digest edited without the text": strings.Replace(good, digest, strings.Repeat("0", 64), 1),
		"a key with another name":        strings.Replace(good, `"b": {`, `"c": {`, 1),
		"an unknown way":                 strings.Replace(good, `"reviewed"`, `"trusted"`, 1),
		"what only waits":                strings.Replace(good, `"reviewed"`, `"refused"`, 1),
		"no time":                        strings.Replace(good, `"2026-11-22T00:00:00Z"`, `"0001-01-01T00:00:00Z"`, 1),
		"a time elsewhere":               strings.Replace(good, `"2026-11-22T00:00:00Z"`, `"2026-11-22T00:00:00+01:00"`, 1),
		"a null definition":              `{"lockVersion":1,"servers":{"x":{"tools":{"a":null}}}}`,
		"a null server":                  `{"lockVersion":1,"servers":{"x":null}}`,
		"a hidden character in a name":   strings.Replace(good, `"files": {`, `"fi\u200bles": {`, 1),
		"an empty name":                  strings.Replace(good, `"files": {`, `"": {`, 1),
		"an artifact without digest":     strings.Replace(good, strings.Repeat("0", 64), "", 1),
		"too many servers":               `{"lockVersion":1,"servers":{` + strings.Repeat(`"x":{},`, 0) + manyServers() + `}}`,
	} {
		if text == good {
			t.Errorf("%s: nothing was changed", name)
		}
		if _, err := Decode([]byte(text)); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if _, err := Decode(bytes.Repeat([]byte(" "), MaxSize+1)); err == nil {
		t.Error("a file beyond the limit was accepted")
	}
}

func manyServers() string {
	var b strings.Builder
	for i := range MaxServers + 1 {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"s` + strings.Repeat("x", i%100) + string(rune('a'+i/100)) + `":{}`)
	}
	return b.String()
}

func FuzzDecode(f *testing.F) {
	f.Add(sample(f))
	f.Add([]byte(`{"lockVersion":1,"servers":{"x":{}}}`))
	f.Add([]byte(`{"lockVersion":1,"servers":{"x":{"tools":{},"prompts":null}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Decode(data)
		if err != nil {
			return
		}
		once, err := file.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Decode(once)
		if err != nil {
			t.Fatalf("%v\n%s", err, once)
		}
		twice, err := again.Encode()
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%v\n%s\n%s", err, once, twice)
		}
	})
}

// The file on disk is replaced as a whole, and never by what does not fit.
func TestStore(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "mcpsec.lock")
	s := approvedIn(path)
	big := define(t, Reviewed, `{"name":"a","x":"`+strings.Repeat("x", 200<<10)+`"}`)
	change := Change{Server: "files", Kind: Tool, Name: "a", New: big}
	if err := Approve(t.Context(), path, Reviewed, change); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	err = s.update(t.Context(), func(f *File) (bool, error) {
		for i := range MaxSize / (200 << 10) {
			f.Servers["files"].Resources = map[string]*Definition{}
			f.Servers[strings.Repeat("y", i+1)] = &Server{Tools: map[string]*Definition{"a": big}}
		}
		return true, nil
	})
	if after, rerr := os.ReadFile(path); err == nil || rerr != nil || !bytes.Equal(before, after) {
		t.Errorf("a file beyond the limit: %v, %v", err, rerr)
	}
	// Somebody holds the lock: the wait ends with the context.
	unlock, err := tryLock(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Approve(ctx, path, Reviewed, change); err == nil {
		t.Error("two wrote at once")
	}
}
