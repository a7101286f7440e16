package vuln

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"golang.org/x/vuln/scan"

	"github.com/mcpsec/mcpsec-go/attest/sbom"
)

// A message is what the engine writes: an object with one of these members.
type message struct {
	Config *struct {
		DBLastModified time.Time `json:"db_last_modified"`
	} `json:"config"`
	OSV     *advisory `json:"osv"`
	Finding *struct {
		OSV          string `json:"osv"`
		FixedVersion string `json:"fixed_version"`
		Trace        []struct {
			Module   string `json:"module"`
			Version  string `json:"version"`
			Package  string `json:"package"`
			Function string `json:"function"`
			Receiver string `json:"receiver"`
		} `json:"trace"`
	} `json:"finding"`
}

// An advisory is an entry of the database (ossf.github.io/osv-schema).
type advisory struct {
	ID       string   `json:"id"`
	Aliases  []string `json:"aliases"`
	Summary  string   `json:"summary"`
	Affected []struct {
		Module struct {
			Path string `json:"name"`
		} `json:"package"`
		Specific struct {
			Imports []struct{} `json:"imports"`
		} `json:"ecosystem_specific"`
	} `json:"affected"`
}

// maxOutput bounds what the engine may write, in bytes.
const maxOutput = 256 << 20

// scan runs the engine and hands each message to take.
func (g *Gate) scan(ctx context.Context, take func(*message), args ...string) (modified time.Time, err error) {
	if err := checkDB(g.DB); err != nil {
		return modified, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out, in := io.Pipe()
	var errs strings.Builder
	cmd := scan.Command(ctx, append([]string{"-db=" + g.DB, "-format=json"}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = strings.NewReader(""), in, &errs, []string{}
	if err := cmd.Start(); err != nil {
		return modified, fmt.Errorf("vuln: %w", err)
	}
	ended := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		ended <- err
		_ = in.CloseWithError(err) // never fails; nil is the end of the output
	}()
	messages := json.NewDecoder(io.LimitReader(out, maxOutput))
	configured := false
	for err == nil {
		var m message
		if err = messages.Decode(&m); err == nil {
			if m.Config != nil {
				configured, modified = true, m.Config.DBLastModified
			}
			take(&m)
		}
	}
	cancel()
	_ = out.CloseWithError(err) // lets the engine end
	switch ran := <-ended; {
	case !errors.Is(err, io.EOF) && ran == nil:
		return modified, fmt.Errorf("vuln: what the engine says cannot be read: %w", err)
	case ran != nil && errs.Len() > 0:
		return modified, fmt.Errorf("vuln: %w: %s", ran, strings.TrimSpace(errs.String()))
	case ran != nil:
		return modified, fmt.Errorf("vuln: %w", ran)
	case !configured:
		return modified, errors.New("vuln: the engine has not said which database it asked")
	}
	return modified, nil
}

// checkDB keeps the engine from a default database, and from one that anybody on the way
// could change.
func checkDB(db string) error {
	u, err := url.Parse(db)
	if err != nil || db == "" || u.Scheme != "file" && u.Scheme != "https" {
		return fmt.Errorf("vuln: the database %q is no file:// folder or https:// address", db)
	}
	return nil
}

// findings collects the strongest evidence for each advisory and module.
type findings struct {
	advisories map[string]*advisory
	evidence   map[[2]string]Finding // by advisory and component
}

// binary takes a message of a scan.
func (fs *findings) binary(m *message) {
	fs.advise(m.OSV)
	f := m.Finding
	if f == nil || len(f.Trace) == 0 {
		return
	}
	at := f.Trace[0]
	found := Finding{ID: f.OSV, Component: goURL(at.Module, at.Version), Fixed: f.FixedVersion, module: at.Module}
	switch {
	case at.Function != "":
		name := at.Function
		if at.Receiver != "" {
			name = at.Receiver + "." + name
		}
		found.Level, found.Evidence = Symbol, "links "+at.Package+"."+name
	case at.Package != "":
		found.Level, found.Evidence = Package, "links the package "+at.Package
	default:
		found.Level, found.Evidence = ModuleLevel, "has the module"
	}
	fs.add(found)
}

func (fs *findings) advise(a *advisory) {
	if a == nil {
		return
	}
	if fs.advisories == nil {
		fs.advisories = make(map[string]*advisory)
	}
	fs.advisories[a.ID] = a
}

func (fs *findings) add(f Finding) {
	if fs.evidence == nil {
		fs.evidence = make(map[[2]string]Finding)
	}
	key := [2]string{f.ID, f.Component}
	if known, ok := fs.evidence[key]; !ok || f.Level < known.Level {
		fs.evidence[key] = f
	}
}

func (fs *findings) list() []Finding {
	all := make([]Finding, 0, len(fs.evidence))
	for _, f := range fs.evidence {
		fs.strengthen(&f)
		if a := fs.advisories[f.ID]; a != nil {
			f.Aliases, f.Summary = a.Aliases, a.Summary
		}
		all = append(all, f)
	}
	return all
}

// goURL is the package URL of a module as a bill of materials has it.
func goURL(module, version string) string {
	if module == library {
		return sbom.PackageURL("std", strings.TrimPrefix(strings.TrimPrefix(version, "go"), "v"))
	}
	return sbom.PackageURL(module, version)
}
