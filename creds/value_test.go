package creds

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

const marker = "s3cr3t-\x7fMARKER"

// leaks reports whether a text has the secret in any shape a printer gives bytes.
func leaks(text string) bool {
	decimal := strings.Trim(fmt.Sprintf("%d", []byte(marker)), "[]")
	lower := strings.ToLower(text)
	for _, shape := range []string{
		marker, "MARKER", hex.EncodeToString([]byte(marker)), fmt.Sprintf("% x", marker), fmt.Sprintf("%#v", []byte(marker))[7:],
		decimal, strings.ReplaceAll(decimal, " ", ","), strings.ReplaceAll(decimal, " ", ", "),
		base64.StdEncoding.EncodeToString([]byte(marker)), base64.RawURLEncoding.EncodeToString([]byte(marker)), fmt.Sprintf("%o", []byte(marker)),
		fmt.Sprintf("%b", []byte(marker)), fmt.Sprintf("%U", []byte(marker)), fmt.Sprintf("%q", []byte(marker)),
	} {
		if strings.Contains(lower, strings.ToLower(strings.Trim(shape, "[]{}"))) {
			return true
		}
	}
	return false
}

type exported struct {
	V Value `json:"v"`
}
type unexported struct{ v Value }
type pointers struct {
	v *Value
	m map[string]Value
	s []Value
	i any
}

// carriers are all the ways in which a secret lies around in a program.
func carriers() map[string]any {
	v := NewValue([]byte(marker))
	m := Material{Secret: v, Expires: time.Unix(1, 0), Version: "7", Public: map[string]string{"key": "id"}}
	in := New(ForTool("t", Named("n", Static([]byte(marker)))))
	s := &scope{}
	s.handle.in, s.handle.bound = in, in.tools["t"]
	is := &issued{src: in.tools["t"]["n"], m: m, note: m.note()}
	l := &loan{is: is}
	s.handle.loans, s.handle.firstLoan = l, loan{is: is}
	e := &entry{key: entryKey{in.tools["t"]["n"], "plan"}, current: is}
	in.cache.live[is] = struct{}{}
	in.cache.entries[e.key] = e
	view := v
	view.loan = l
	request := Request{Tool: "t", Subject: v}
	return map[string]any{
		"value": v, "pointer": &v, "exported field": exported{v}, "unexported field": unexported{v}, "pointer to unexported": &unexported{v},
		"deep": pointers{&v, map[string]Value{"k": v}, []Value{v}, v}, "slice": []Value{v}, "array": [1]Value{v}, "map": map[string]Value{"k": v},
		"interface": []any{v, &v}, "anonymous": struct{ x, Y Value }{v, v}, "nested": struct{ a unexported }{unexported{v}},
		"material": m, "unexported material": struct{ m Material }{m}, "issued": is, "entry": e, "loan": l, "cache": in.cache, "view": view, "view in a struct": struct{ v Value }{view}, "view in a slice": []any{view, &view},
		"request": request, "spec": NewSpec("n", nil), "parts": Material{Parts: []Value{v}}, "unexported parts": struct{ m []Material }{[]Material{{Parts: []Value{v}}}},
		"injector": in, "bindings": in.bindings, "tools": in.tools,
		"handle": &s.handle, "loans": s.handle.loans, "scope": s, "static": Static([]byte(marker)), "grant": Named("n", Static([]byte(marker))),
	}
}

// misuse is out of reach of go vet.
var misuse = []string{"x", "%*d", "%[3]d %[1]d"}

func TestNoVerbPrintsASecret(t *testing.T) {
	for name, c := range carriers() {
		for _, verb := range "vTtbcdoOqxXUeEfFgGspwz!" {
			for _, flag := range []string{"", "+", "#", "-", " ", "0", "20", ".3", "#+ 020.10"} {
				format := "%" + flag + string(verb)
				if out := fmt.Sprintf(format, c); leaks(out) {
					t.Errorf("%s with %s: %s", name, format, out)
				}
			}
		}
		for what, out := range map[string]string{
			"Sprint": fmt.Sprint(c), "Sprintln": fmt.Sprintln(c, c), "Errorf": fmt.Errorf("%v", c).Error(),
			"extra argument": fmt.Sprintf(misuse[0], c), "as width": fmt.Sprintf(misuse[1], c, 1), "bad index": fmt.Sprintf(misuse[2], c),
		} {
			if leaks(out) {
				t.Errorf("%s: %s: %s", name, what, out)
			}
		}
	}
	if out := fmt.Sprintf("%s|%v|%+v|%#v|%q|%x|%d", v0(), v0(), v0(), v0(), v0(), v0(), v0()); out != strings.Repeat(redacted+"|", 6)+redacted {
		t.Error(out)
	}
}

func v0() Value { return NewValue([]byte(marker)) }

func TestNoMarshallerEncodesASecret(t *testing.T) {
	for name, c := range carriers() {
		if raw, err := json.Marshal(c); err == nil && leaks(string(raw)) {
			t.Errorf("%s: JSON: %s", name, raw)
		}
		if raw, err := xml.Marshal(c); err == nil && leaks(string(raw)) {
			t.Errorf("%s: XML: %s", name, raw)
		}
		var b bytes.Buffer
		err := gobSafely(&b, c)
		if leaks(b.String()) {
			t.Errorf("%s: gob: %q", name, b.Bytes())
		}
		if name == "value" || name == "material" || name == "exported field" {
			if err == nil {
				t.Errorf("%s: gob did not refuse", name)
			}
		}
	}
	if raw, err := json.Marshal(exported{v0()}); err != nil || string(raw) != `{"v":"[secret]"}` {
		t.Errorf("%s, %v", raw, err)
	}
	if raw, err := json.Marshal(map[string]any{"v": v0()}); err != nil || string(raw) != `{"v":"[secret]"}` {
		t.Errorf("%s, %v", raw, err)
	}
	if raw, err := v0().MarshalText(); err != nil || string(raw) != redacted {
		t.Errorf("%s, %v", raw, err)
	}
	if raw, err := v0().MarshalBinary(); err == nil {
		t.Errorf("%s", raw)
	}
}

func gobSafely(b *bytes.Buffer, c any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("panic")
		}
	}()
	return gob.NewEncoder(b).Encode(c)
}

func TestNoLoggerWritesASecret(t *testing.T) {
	for name, c := range carriers() {
		for kind, handler := range map[string]func(*bytes.Buffer) slog.Handler{
			"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
			"JSON": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
		} {
			var b bytes.Buffer
			log := slog.New(handler(&b))
			log.Info("x", "c", c)
			log.With("c", c).WithGroup("g").Info("x", slog.Group("h", "c", c), slog.Any("d", []any{c}))
			if leaks(b.String()) {
				t.Errorf("%s: %s: %s", name, kind, b.String())
			}
		}
	}
}

func TestRevealGivesCopies(t *testing.T) {
	original := []byte(marker)
	v := NewValue(original)
	clear(original)
	first := v.Reveal()
	clear(first)
	if got := string(v.Reveal()); got != marker {
		t.Errorf("got %q", got)
	}
	if v.Empty() {
		t.Error("empty")
	}
}

func TestCloseOverwrites(t *testing.T) {
	v := v0()
	twin := v
	inside := v.box().data
	v.Close()
	twin.Close()
	if twin.Reveal() != nil || !twin.Empty() {
		t.Error("a copy of the Value still reveals")
	}
	if !bytes.Equal(inside, make([]byte, len(marker))) {
		t.Errorf("left in memory: %q", inside)
	}
}

func TestZeroValue(t *testing.T) {
	var v Value
	v.Close()
	if v.Reveal() != nil || !v.Empty() || v.String() != redacted || v.GoString() != redacted {
		t.Error("the zero Value misbehaves")
	}
	if !NewValue(nil).Empty() || !NewValue([]byte{}).Empty() {
		t.Error("nothing is not empty")
	}
}

func TestRevealWhileClosing(t *testing.T) {
	v := v0()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				if b := v.Reveal(); b != nil && string(b) != marker {
					t.Errorf("torn: %q", b)
				}
			}
		})
	}
	wg.Go(v.Close)
	wg.Wait()
}

// TestTheDetectorDetects: what a careless type prints is found.
func TestTheDetectorDetects(t *testing.T) {
	careless := struct{ b []byte }{[]byte(marker)}
	for _, format := range []string{"%v", "%d", "%x", "%X", "%q", "%#v", "%s", "%p", "%o"} {
		if out := fmt.Sprintf(format, careless); !leaks(out) {
			t.Errorf("%s is not noticed: %s", format, out)
		}
	}
	raw, _ := json.Marshal([]byte(marker))
	if !leaks(string(raw)) {
		t.Errorf("JSON is not noticed: %s", raw)
	}
}
