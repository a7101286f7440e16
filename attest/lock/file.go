package lock

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/mcpsec/mcpsec-go/attest/internal/tooldef"
	"github.com/mcpsec/mcpsec-go/internal/printable"
	"github.com/mcpsec/mcpsec-go/internal/strictjson"
)

// Limits of a lock file.
const (
	MaxSize        = 32 << 20 // in bytes
	MaxServers     = 256
	MaxDefinitions = 1024 // of one kind, of one server
	maxName        = 2048 // bytes; resources are named by URI
	schemaVersion  = 1
)

// A File is what is approved of the servers of a project, by the names the project
// gives them. It is read and written as indented JSON in a fixed order, in which
// hidden characters are escaped, so that a difference shows in a pull request.
type File struct {
	Servers map[string]*Server
}

type fileJSON struct {
	LockVersion int                `json:"lockVersion"`
	Servers     map[string]*Server `json:"servers"`
}

// A Server is what is approved of one server. The key of a definition is its name, its
// URI or its URI template. A kind that is nil was never listed.
type Server struct {
	// Artifact is the program that is launched; nil if the host does not say.
	Artifact *Artifact `json:"artifact,omitempty"`
	// Identity is what the server says of itself: serverInfo, instructions, capabilities.
	Identity          *Definition            `json:"server,omitempty"`
	Tools             map[string]*Definition `json:"tools,omitzero"`
	Prompts           map[string]*Definition `json:"prompts,omitzero"`
	Resources         map[string]*Definition `json:"resources,omitzero"`
	ResourceTemplates map[string]*Definition `json:"resourceTemplates,omitzero"`
}

// An Artifact is a package or program by its bytes.
type Artifact struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
}

// A How says how a definition came to be approved.
type How string

// The ways of approval.
const (
	OnFirstUse How = "first-use" // nobody looked at it
	Reviewed   How = "reviewed"  // a person, or a command a person gave
	refused    How = "refused"   // in the file of what waits for review
)

// A Definition is one approved definition and its text, from which a later difference
// can be shown.
type Definition struct {
	SHA256 string    `json:"sha256"` // tooldef/1 of the text
	How    How       `json:"pinned"`
	At     time.Time `json:"at"` // UTC, whole seconds
	// Shown is the digest that a review showed last under this name; see [Shown]. It is
	// only in the file of what waits.
	Shown string `json:"shown,omitempty"`
	// Text is the definition as it was received, in canonical form (RFC 8785).
	Text json.RawMessage `json:"definition"`
}

// Decode reads a lock file. It refuses what is not strict JSON of exactly this form
// and definitions whose digest is not that of their text: an edit of the one without
// the other must not go unnoticed.
func Decode(data []byte) (*File, error) { return decode(data, OnFirstUse, Reviewed) }

func decode(data []byte, ways ...How) (*File, error) {
	var f fileJSON
	if err := strictjson.Decode(data, MaxSize, &f); err != nil {
		return nil, err
	}
	if f.LockVersion != schemaVersion {
		return nil, fmt.Errorf("lockVersion is %d: this program reads %d", f.LockVersion, schemaVersion)
	}
	if len(f.Servers) > MaxServers {
		return nil, fmt.Errorf("more than %d servers", MaxServers)
	}
	if f.Servers == nil {
		f.Servers = make(map[string]*Server)
	}
	for _, name := range slices.Sorted(maps.Keys(f.Servers)) {
		if err := checkName(name); err != nil {
			return nil, err
		}
		if err := f.Servers[name].check(ways); err != nil {
			return nil, fmt.Errorf("server %q: %w", name, err)
		}
	}
	return &File{Servers: f.Servers}, nil
}

// Encode writes the file.
func (f *File) Encode() ([]byte, error) {
	if f.least() > MaxSize {
		return nil, errTooLarge
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(fileJSON{LockVersion: schemaVersion, Servers: f.Servers}); err != nil {
		return nil, err
	}
	out := escapeHidden(b.Bytes())
	if len(out) > MaxSize {
		return nil, errTooLarge
	}
	return out, nil
}

var errTooLarge = fmt.Errorf("the file would be larger than %d bytes", MaxSize)

// escapeHidden escapes hidden characters. In valid JSON, what is hidden and no white
// space is inside of strings.
func escapeHidden(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for start := 0; start < len(text); {
		end := start
		for end < len(text) && (text[end] >= ' ' && text[end] < 0x7f || text[end] == '\n') {
			end++
		}
		out = append(out, text[start:end]...)
		if start = end; start == len(text) {
			break
		}
		r, n := utf8.DecodeRune(text[start:])
		if printable.Hidden(r) {
			out = printable.AppendEscape(out, r)
		} else {
			out = append(out, text[start:start+n]...)
		}
		start += n
	}
	return out
}

// checkName refuses names of servers that do not show in a file or on a terminal.
func checkName(name string) error {
	if name == "" || len(name) > 128 || !utf8.ValidString(name) {
		return errors.New("the name of a server has 1 to 128 bytes of UTF-8")
	}
	for _, r := range name {
		if printable.Hidden(r) {
			return fmt.Errorf("the name of server %+q has a hidden character", name)
		}
	}
	return nil
}

func (s *Server) check(ways []How) error {
	if s == nil {
		return errors.New("null")
	}
	if a := s.Artifact; a != nil && (a.Name == "" || !isDigest(a.SHA256)) {
		return errors.New("artifact: a name and a SHA-256 in 64 lower-case hexadecimal digits are needed")
	}
	if s.Identity != nil {
		if err := s.Identity.check(ways); err != nil {
			return fmt.Errorf("server: %w", err)
		}
	}
	for _, kind := range kinds {
		list := *s.list(kind)
		if len(list) > MaxDefinitions {
			return fmt.Errorf("more than %d definitions of kind %s", MaxDefinitions, kind.Name)
		}
		for key, d := range list {
			if err := d.check(ways); err != nil {
				return fmt.Errorf("%s %.200q: %w", kind.Name, key, err)
			}
			if name, err := kind.nameOf(d.Text); err != nil || name != key {
				return fmt.Errorf("%s %.200q: the definition has another name", kind.Name, key)
			}
		}
	}
	return nil
}

// check refuses a definition that is not one, and puts its text into canonical form.
func (d *Definition) check(ways []How) error {
	if d == nil {
		return errors.New("null")
	}
	if !slices.Contains(ways, d.How) {
		return fmt.Errorf("pinned is %.20q, not one of %q", d.How, ways)
	}
	if _, offset := d.At.Zone(); offset != 0 || d.At.IsZero() {
		return errors.New("at is no time in UTC")
	}
	if d.Shown != "" && (d.How != refused || !isDigest(d.Shown)) {
		return errors.New("shown is the digest of what waits for review, in 64 lower-case hexadecimal digits")
	}
	canonical, err := tooldef.Reread(d.Text) // the file is bounded as a whole
	if err != nil {
		return err
	}
	if digestText(canonical) != d.SHA256 {
		return errors.New("sha256 is not the digest of the definition: one of them was edited without the other")
	}
	d.Text = canonical // the file has it indented
	return nil
}

func isDigest(s string) bool {
	if len(s) != 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
