package child

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
	"unicode/utf8"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/internal/strictjson"
)

// Pipe delivers the named credential as one JSON object, through a pipe that ends after
// it:
//
//	{"name":"...","secret":"...","version":"...","expires":"2026-11-22T12:00:00Z","public":{...}}
//
// A secret that is not UTF-8 is in secret_base64 instead. What is empty is left out. A
// child in Go reads it with [Receive].
func Pipe(name string) Delivery { return pipe{name, false} }

// Raw delivers the bytes of the named credential and nothing else, through a pipe that
// ends after them: for programs that read a password or a key from a descriptor.
func Raw(name string) Delivery { return pipe{name, true} }

type pipe struct {
	name string
	raw  bool
}

func (p pipe) prepare(ctx context.Context, r *run) error {
	if _, twice := r.fds[p.name]; twice {
		return fmt.Errorf("child.Run: credential %q is delivered twice", p.name)
	}
	m, err := r.handle.Get(ctx, p.name)
	if err != nil {
		return err
	}
	secret := m.Secret.Reveal()
	r.keep(secret)
	text := secret
	if !p.raw {
		if text, err = encode(p.name, secret, m); err != nil {
			return err
		}
		r.keep(text)
	}
	in, out, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("child.Run: %w", err)
	}
	r.fds[p.name] = r.inherit(in)
	if err := r.give(in); err != nil {
		_ = out.Close()
		return fmt.Errorf("child.Run: %w", err)
	}
	r.later(func(int) {
		_, _ = out.Write(text) // a child that does not read needs none
		_ = out.Close()
	})
	r.undo = append(r.undo, func() { _ = out.Close() }) // ends a write that nobody reads
	return nil
}

// An object is what goes through a pipe, but for the secret.
type object struct {
	Name    string            `json:"name"`
	Version string            `json:"version,omitempty"`
	Expires *time.Time        `json:"expires,omitempty"`
	Public  map[string]string `json:"public,omitempty"`
}

// encode writes the object into one buffer: encoding/json would leave copies of the
// secret behind.
func encode(name string, secret []byte, m creds.Material) ([]byte, error) {
	o := object{Name: name, Version: m.Version, Public: m.Public}
	if !m.Expires.IsZero() {
		end := m.Expires.UTC()
		o.Expires = &end
	}
	rest, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("child.Run: credential %q: %w", name, err)
	}
	b := make([]byte, 0, len(rest)+6*len(secret)+32)
	b = append(b, rest[:len(rest)-1]...)
	if utf8.Valid(secret) {
		b = appendString(append(b, `,"secret":`...), secret)
	} else {
		b = append(base64.StdEncoding.AppendEncode(append(b, `,"secret_base64":"`...), secret), '"')
	}
	return append(b, "}\n"...), nil
}

// appendString appends UTF-8 as a JSON string (RFC 8259), at most six bytes for one.
func appendString(b, s []byte) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// maxObject bounds what Receive reads: a secret of 64 KiB, escaped, and what is around
// it.
const maxObject = 1 << 20

// Receive reads what [Pipe] delivered from descriptor fd, and closes it. It is for
// children that are written in Go. Close the Secret when it is not needed any more.
func Receive(fd uintptr) (creds.Material, error) {
	f := os.NewFile(fd, "credential")
	if f == nil {
		return creds.Material{}, errors.New("child.Receive: not a descriptor")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxObject+1))
	defer clear(text)
	_ = f.Close() // it has been read
	if err != nil {
		return creds.Material{}, fmt.Errorf("child.Receive: %w", err)
	}
	return decode(text)
}

// decode reads an object. Its errors say nothing of the secret.
func decode(text []byte) (creds.Material, error) {
	var o struct {
		Name    string            `json:"name"`
		Version string            `json:"version"`
		Expires time.Time         `json:"expires"`
		Public  map[string]string `json:"public"`
		Secret  string            `json:"secret"`
		Binary  []byte            `json:"secret_base64"`
	}
	if err := strictjson.Decode(text, maxObject, &o); err != nil {
		return creds.Material{}, fmt.Errorf("child.Receive: %w", err)
	}
	secret := o.Binary
	if len(secret) == 0 {
		secret = []byte(o.Secret)
	}
	defer clear(secret)
	if len(secret) == 0 || o.Secret != "" && len(o.Binary) > 0 {
		return creds.Material{}, errors.New("child.Receive: need one secret")
	}
	return creds.Material{Secret: creds.NewValue(secret), Version: o.Version, Expires: o.Expires, Public: o.Public}, nil
}
