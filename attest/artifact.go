package attest

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"

	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/internal/memfd"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// MaxSnapshot bounds the artifacts of a server that are kept in memory, together, in bytes.
const MaxSnapshot = 16 << 30

// A File is an artifact as it was reviewed, in memory that is sealed (on Linux) since its
// digest was taken: what is read from it is what was signed, whatever became of the file on
// the disk. It is safe for concurrent use.
type File struct {
	artifact manifest.Artifact
	blob     *memfd.Blob
}

var _ io.ReaderAt = (*File)(nil)

// Name returns the name that the manifest gives the artifact.
func (f *File) Name() string { return f.artifact.Name }

// Path returns the path of the file when it was read, relative to [Dir], with slashes.
func (f *File) Path() string { return f.artifact.Path }

// SHA256 returns the digest in lower-case hexadecimal.
func (f *File) SHA256() string { return f.artifact.SHA256 }

// Size returns the length in bytes.
func (f *File) Size() int64 { return f.artifact.Size }

// Bytes returns the content without copying it. It must not be written to: where memory is
// sealed, an attempt ends the process. It is valid as long as the File is reachable, so
// keep the File with it.
func (f *File) Bytes() []byte { return f.blob.Bytes() }

// ReadAt implements [io.ReaderAt].
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("attest: artifact %s: negative offset %d", f.Name(), off)
	}
	data := f.Bytes()
	if off >= int64(len(data)) {
		return 0, io.EOF
	}
	n := copy(p, data[off:])
	runtime.KeepAlive(f) // and with it the memory
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Reader returns a reader of the whole content.
func (f *File) Reader() *io.SectionReader { return io.NewSectionReader(f, 0, f.Size()) }

// toolOf returns the attested tool whose handler has been given the context; nil if there
// is none.
func toolOf(ctx context.Context) *sealedTool {
	tool := mcpsec.Running(ctx)
	if tool == nil {
		return nil
	}
	t, _ := tool.Attested.(*sealedTool)
	return t
}

// Artifact returns an artifact with bind snapshot or exec to the handler of a tool, for
// which the manifest must list it: no tool reads what another one was given. The error is
// a Denial.
func Artifact(ctx context.Context, name string) (*File, error) {
	t := toolOf(ctx)
	if t == nil || t.files[name] == nil {
		d := codeArtifactNotBound.Deny("this tool may not use that file")
		if d.Detail = "artifact " + name + ": asked for outside of the call of an attested tool"; t != nil {
			d.Detail = fmt.Sprintf("artifact %s is not among those of tool %s with bind snapshot or exec", name, t.name)
		}
		return nil, d
	}
	return t.files[name], nil
}

// Command returns the command that runs an artifact with bind exec from its sealed memory,
// on Linux: a program, or a script that begins with "#!" and whose interpreter is then the
// one on the disk, which the manifest says nothing of. Its environment is empty; add to Env
// what it needs. Descriptor 3 of the new process is the sealed program; ExtraFiles that
// are appended follow it. When the tool may not run the artifact, Err is set and running
// fails with it.
func Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/proc/self/fd/3", args...) //nolint:gosec // the sealed program itself, see below
	cmd.Args[0] = name
	cmd.Env = []string{}
	f, err := Artifact(ctx, name)
	if err == nil && (f.artifact.Bind != manifest.Exec || f.blob.File() == nil) {
		d := codeArtifactNotBound.Deny("this tool may not run that file")
		d.Detail = fmt.Sprintf("artifact %s has bind %s: only bind exec is run, on Linux", name, f.artifact.Bind)
		err = d
	}
	if err != nil {
		cmd.Err = err
		return cmd
	}
	cmd.ExtraFiles = []*os.File{f.blob.File()}
	return cmd
}

// sealArtifacts reads every artifact and gives each tool its own.
func (a *Attestor) sealArtifacts(ctx context.Context, s *seal) (faults []error) {
	m := a.source.manifest
	if len(m.Artifacts) == 0 {
		return nil
	}
	// The garbage collector closes it: Close does not wait for calls that are looking at a
	// file, and they would look below whatever has the folder's number by then.
	root, err := memfd.OpenRoot(a.dir)
	if err != nil {
		return []error{fmt.Errorf("the folder of the artifacts: %w", err)}
	}
	files := make(map[string]*File)
	watches := make(map[string]*watch)
	room := int64(MaxSnapshot)
	for _, artifact := range m.Artifacts {
		if artifact.Bind == manifest.Watch {
			w := &watch{Artifact: artifact, root: root}
			if w.name, err = root.Name(artifact.Path); err == nil {
				err = w.rehash(ctx)
			}
			watches[artifact.Name] = w
			s.watches = append(s.watches, w)
		} else if room -= artifact.Size; room < 0 {
			err = fmt.Errorf("the artifacts in memory have more than %d bytes: give large ones bind watch", int64(MaxSnapshot))
		} else {
			files[artifact.Name], err = snapshotOf(ctx, root, artifact)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("artifact %q: %w", artifact.Name, err))
		}
	}
	share(m.Tools, s, files, watches)
	return faults
}

// share gives each tool what the manifest lists for it. A watched file of no tool is the
// whole server's.
func share(pins []manifest.Tool, s *seal, files map[string]*File, watches map[string]*watch) {
	owned := make(map[string]bool)
	for _, pin := range pins {
		t := s.tools[pin.Name]
		for _, name := range pin.Artifacts {
			owned[name] = true
			switch {
			case t == nil: // already a fault
			case watches[name] != nil:
				t.watches = append(t.watches, watches[name])
			case files[name] != nil:
				if t.files == nil {
					t.files = make(map[string]*File)
				}
				t.files[name] = files[name]
			}
		}
	}
	for name, w := range watches {
		if owned[name] {
			continue
		}
		s.shared = append(s.shared, w)
		for _, t := range s.tools {
			t.watches = append(t.watches, w)
		}
	}
}

// snapshotOf reads a file into sealed memory and only then compares it.
func snapshotOf(ctx context.Context, root *memfd.Root, a manifest.Artifact) (*File, error) {
	f, err := root.Open(a.Path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	use := memfd.Data
	if a.Bind == manifest.Exec {
		use = memfd.Program
	}
	blob, err := memfd.Read(ctx, f, a.Size, use)
	if err != nil {
		return nil, err
	}
	got, err := blob.Sum(ctx)
	if err != nil {
		return nil, err
	}
	if got != a.SHA256 {
		return nil, fmt.Errorf("%w: %s: expected %s%s, found %s%s", errContent, a.Path, digestPrefix, a.SHA256, digestPrefix, got)
	}
	return &File{a, blob}, nil
}
