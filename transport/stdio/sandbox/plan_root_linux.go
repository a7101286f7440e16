//go:build linux && (amd64 || arm64)

package sandbox

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
	"unsafe"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/loopnet"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/program"
	"golang.org/x/sys/unix"
)

// stage is where the new root is put together: a folder that every system has, hidden
// for as long as it takes.
const stage = "/usr"

var devices = []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"}

// a tree is a detached copy of a part of the host's file system.
type tree struct {
	opened *program.Op
	target string
	dir    bool
}

// openSources takes copies of what is to appear inside, before the user changes and the
// host's file system is out of sight.
func (p *plan) openSources() {
	p.Section(string(MountNamespace))
	p.mount("private", "", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	p.trees = nil
	for _, e := range p.view.entries {
		attr := uint64(unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV)
		if e.access != mayWrite {
			attr |= unix.MOUNT_ATTR_RDONLY
		}
		if e.access != mayExec {
			attr |= unix.MOUNT_ATTR_NOEXEC
		}
		p.openTree(e.source, e.target, e.dir, attr)
	}
	for _, d := range devices {
		p.openTree(d, d, false, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC)
	}
}

func (p *plan) openTree(source, target string, dir bool, set uint64) {
	at := p.lookAt(source)
	o := p.Do("open "+source, program.OpenTree, program.Result(at), program.Text(""),
		program.Number(uint64(unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE|unix.AT_EMPTY_PATH)))
	attr := unix.MountAttr{Attr_set: set}
	show := []string{"nosuid"}
	for _, bit := range []struct {
		bit  uint64
		name string
	}{{unix.MOUNT_ATTR_NODEV, "nodev"}, {unix.MOUNT_ATTR_RDONLY, "ro"}, {unix.MOUNT_ATTR_NOEXEC, "noexec"}} {
		if set&bit.bit != 0 {
			show = append(show, bit.name)
		}
	}
	p.Do("restrict "+source, program.MountSetattr, program.Result(o), program.Text(""), program.Number(unix.AT_EMPTY_PATH|unix.AT_RECURSIVE),
		program.At(memory(strings.Join(show, ","), &attr)), program.Number(unsafe.Sizeof(attr)))
	p.trees = append(p.trees, tree{opened: o, target: target, dir: dir})
}

// lookAt finds a path that had no symbolic links when it was resolved, and must not have
// got any since. A path that has is no lack of the machine's, which might be allowed.
func (p *plan) lookAt(name string) *program.Op {
	o := p.Do("look at "+name, program.Openat2, program.Number(unix.AT_FDCWD), program.Text(name), program.At(p.noLinks), program.Number(unsafe.Sizeof(unix.OpenHow{})))
	o.Section = ""
	return o
}

// privateRoot builds the new root and makes it the only one.
func (p *plan) privateRoot() {
	p.Section(string(MountNamespace))
	p.mount("root", "tmpfs", stage, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755,size=4m,nr_inodes=16k")
	made := map[string]bool{stage: true}
	for _, dir := range []string{"/proc", "/dev/shm", "/tmp", "/etc"} {
		p.mkdir(made, stage+dir)
	}
	if p.has(Proc) {
		p.Section(string(Proc))
		p.mount("proc", "proc", stage+"/proc", "proc", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "hidepid=invisible")
		p.Section(string(MountNamespace))
	}
	noexec := uintptr(0)
	if p.command.Profile.NoFileless {
		noexec = unix.MS_NOEXEC
	}
	p.mount("tmp", "tmpfs", stage+"/tmp", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|noexec, fmt.Sprintf("mode=1777,size=%d,nr_inodes=20k", p.limits.Temp))
	p.mount("shm", "tmpfs", stage+"/dev/shm", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=1777,size=16m,nr_inodes=4k")
	p.attach(made)
	for _, l := range slices.Concat(p.view.links, []link{
		{"/dev/fd", "/proc/self/fd"}, {"/dev/stdin", "/proc/self/fd/0"}, {"/dev/stdout", "/proc/self/fd/1"}, {"/dev/stderr", "/proc/self/fd/2"},
	}) {
		p.mkdir(made, path.Dir(stage+l.at))
		p.Do("link "+l.at, program.Symlinkat, program.Text(l.to), program.Number(unix.AT_FDCWD), program.Text(stage+l.at))
	}
	p.etc()
	p.Do("enter root", program.Chdir, program.Text(stage))
	p.Do("pivot", program.PivotRoot, program.Text("."), program.Text("."))
	p.Do("leave host's root", program.Umount, program.Text("."), program.Number(unix.MNT_DETACH))
	p.Do("chdir", program.Chdir, program.Text("/"))
	p.mount("root read only", "", "/", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, "")
	if p.has(UTSNamespace) {
		p.Section(string(UTSNamespace))
		const name = "sandbox"
		p.Do("host name", program.Sethostname, program.Text(name), program.Number(len(name)))
	}
}

// attach puts the copies at their places.
func (p *plan) attach(made map[string]bool) {
	for _, t := range p.trees {
		at := stage + t.target
		if over := cover(p.view.entries, path.Dir(t.target)); over == nil {
			p.mkdir(made, path.Dir(at))
			if t.dir {
				p.mkdir(made, at)
			} else {
				p.Do("place "+t.target, program.Mknodat, program.Number(unix.AT_FDCWD), program.Text(at), program.Number(unix.S_IFREG|0o644), program.Number(0))
			}
		}
		p.Do("attach "+t.target, program.MoveMount, program.Result(t.opened), program.Text(""), program.Number(unix.AT_FDCWD), program.Text(at),
			program.Number(unix.MOVE_MOUNT_F_EMPTY_PATH))
	}
}

// mkdir makes a folder of the new root with all above it, unless they are there.
func (p *plan) mkdir(made map[string]bool, dir string) {
	if made[dir] {
		return
	}
	p.mkdir(made, path.Dir(dir))
	made[dir] = true
	p.Do("make "+dir, program.Mkdirat, program.Number(unix.AT_FDCWD), program.Text(dir), program.Number(0o755))
}

// etc writes what libraries look up: the one user, the name server inside.
func (p *plan) etc() {
	files := [][2]string{
		{"/etc/passwd", "sandbox:x:1000:1000::/tmp:/bin/sh\n"},
		{"/etc/group", "sandbox:x:1000:\n"},
		{"/etc/hosts", "127.0.0.1 localhost\n"},
		{"/etc/nsswitch.conf", loopnet.NSSwitch},
	}
	if p.served() {
		files = append(files, [2]string{"/etc/resolv.conf", loopnet.ResolvConf})
	}
	for _, f := range files {
		if cover(p.view.entries, f[0]) != nil || p.links(f[0]) {
			continue
		}
		o := p.Do("create "+f[0], program.Openat, program.Number(unix.AT_FDCWD), program.Text(stage+f[0]),
			program.Number(unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC), program.Number(0o644))
		p.Do("write "+f[0], program.Write, program.Result(o), program.At(program.Memory(strings.TrimSuffix(path.Base(f[0]), ".conf"), []byte(f[1]))), program.Number(len(f[1]))).Expect(int64(len(f[1])))
		p.Do("close "+f[0], program.Close, program.Result(o))
	}
}

// links reports whether the profile already has a link there.
func (p *plan) links(at string) bool {
	for _, l := range p.view.links {
		if l.at == at {
			return true
		}
	}
	return false
}

func (p *plan) mount(step, source, target, kind string, flags uintptr, options string) {
	text := func(s string) program.Arg {
		if s == "" {
			return program.Arg{}
		}
		return program.Text(s)
	}
	p.Do(cmp.Or(step, target), program.Mount, text(source), program.Text(target), text(kind), program.Number(flags), text(options))
}

// memory is a block with the bytes of a struct of the kernel's.
func memory[T any](show string, v *T) *program.Block {
	return program.Memory(show, unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v))) //nolint:gosec // as bytes, for the kernel
}
