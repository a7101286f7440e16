package stdio

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/mcpsec/mcpsec-go/internal/memfd"
	"github.com/mcpsec/mcpsec-go/internal/regular"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// maxProgram bounds a program in bytes.
const maxProgram = 1 << 30

// A Program is one file that is all that runs, apart from the distribution's libraries:
// Command[0]. It is read into memory that the kernel seals, verified there, and run from
// there, on Linux. Exactly one of SHA256 and Signed is given.
type Program struct {
	// SHA256 is the digest in 64 lower-case hexadecimal digits.
	SHA256 string
	// Signed is asked instead of a digest being given.
	Signed Verifier
	// PrivateCopy runs the program from a private copy below [AppDir] instead of sealed
	// memory, for programs that start themselves again or look beside themselves. Processes
	// of the host's own user could write to the copy; they could as well trace the host.
	PrivateCopy bool
}

var _ Artifact = Program{}

func (p Program) prepare(ctx context.Context, c command) (*prepared, error) {
	if err := c.runsItself(); err != nil {
		return nil, err
	}
	return p.seal(ctx, c)
}

// seal verifies the program alone, whatever it then does with its arguments.
func (p Program) seal(ctx context.Context, c command) (*prepared, error) {
	if p.SHA256 != "" && !isSHA256(p.SHA256) {
		return nil, errors.New("stdio: Program.SHA256 is not 64 lower-case hexadecimal digits")
	}
	blob, digest, err := p.read(ctx, c[0])
	if err != nil {
		return nil, fmt.Errorf("stdio: program %s: %w", c.name(), err)
	}
	out := &prepared{path: AppDir + "/" + c.name(), digest: "sha256:" + digest, how: "sealed memory"}
	if out.system, err = judgeELF(blob.Bytes()); err != nil {
		return nil, fmt.Errorf("stdio: program %s: %w", c.name(), err)
	}
	if !p.PrivateCopy {
		out.program = blob.File()
		return out, nil
	}
	dir, err := newPrivateDir()
	if err != nil {
		return nil, err
	}
	out.how, out.discard = "private copy", append(out.discard, dir.remove)
	out.mounts = []sandbox.Mount{{Source: dir.inside, Target: AppDir, Exec: true}}
	if err := dir.write(c.name(), blob.Bytes()); err != nil {
		return nil, errors.Join(err, out.close())
	}
	runtime.KeepAlive(blob)
	return out, nil
}

// read returns the verified program in sealed memory. The memory of a digest is read
// once: what is sealed cannot become something else.
func (p Program) read(ctx context.Context, name string) (*memfd.Blob, string, error) {
	if p.SHA256 != "" && p.Signed == nil {
		if blob := sealed.get(p.SHA256); blob != nil {
			return blob, p.SHA256, nil
		}
	}
	path, err := find(name)
	if err != nil {
		return nil, "", err
	}
	f, info, err := regular.Open(path, maxProgram, nil)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = f.Close() }() // nothing was written
	if info.Mode().Perm()&0o111 == 0 {
		return nil, "", fmt.Errorf("%w: not executable: chmod +x, if it is the program", os.ErrPermission)
	}
	blob, err := memfd.Read(ctx, f, info.Size(), memfd.Program)
	if err != nil {
		return nil, "", err
	}
	sum, err := blob.Sum(ctx)
	if err != nil {
		return nil, "", err
	}
	if err := (expect{p.SHA256, p.Signed}).check(ctx, sum, sum, filepath.Base(path)); err != nil {
		return nil, "", err
	}
	sealed.put(sum, blob)
	return blob, sum, nil
}

// machines are what an architecture runs without an emulator.
var machines = map[string]elf.Machine{
	"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64,
	"riscv64": elf.EM_RISCV, "ppc64le": elf.EM_PPC64, "s390x": elf.EM_S390, "loong64": elf.EM_LOONGARCH,
}

// judgeELF refuses, with the reason, what the kernel would refuse or hand to an
// interpreter that nobody verified. It says why libraries are needed.
func judgeELF(program []byte) (system string, err error) {
	if bytes.HasPrefix(program, []byte("#!")) {
		return "", fmt.Errorf("%w: a script, whose interpreter runs: use stdio.Tree with an Interpreter", ErrArtifact)
	}
	file, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return "", fmt.Errorf("%w: not an ELF program", ErrArtifact)
	}
	if want, known := machines[runtime.GOARCH]; file.Class != elf.ELFCLASS64 || known && file.Machine != want {
		return "", fmt.Errorf("%w: built for %s (%s), and this is %s, on which other programs are not confined", ErrArtifact, file.Machine, file.Class, runtime.GOARCH)
	}
	for _, segment := range file.Progs {
		if segment.Type == elf.PT_INTERP {
			return "it is linked dynamically: its loader and libraries are the distribution's", nil
		}
	}
	return "", nil
}

// lookIn are the folders in which a command without a slash is looked for. The host's
// PATH has no say.
var lookIn = []string{"/usr/local/bin", "/usr/bin", "/bin"}

// find returns the absolute path of a command.
func find(name string) (string, error) {
	if strings.ContainsRune(name, '/') {
		return filepath.Abs(name)
	}
	for _, dir := range lookIn {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: %s is in none of %s: give an absolute path", os.ErrNotExist, name, strings.Join(lookIn, ", "))
}
