package child

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const proc = "/proc"

// memoryFile returns a file with a content that nobody can change, and no name.
func memoryFile(content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("credential-token", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "credential-token")
	if _, err = f.Write(content); err == nil {
		_, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL)
	}
	if err == nil {
		err = f.Chmod(0o400)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// belongs reports whether the connection from peer to local is of the process or of one
// that descends from it. What cannot be seen, such as the descriptors of another user's
// process, does not belong.
func belongs(pid int, peer, local netip.AddrPort) bool {
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} { // the second has mapped addresses too
		if inode := socketOf(table, peer, local); inode != "" {
			return heldBy(family(pid), "socket:["+inode+"]")
		}
	}
	return false
}

// socketOf returns the inode of the socket that is connected from one address to
// another, or "".
func socketOf(table string, from, to netip.AddrPort) string {
	f, err := os.Open(table)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }() // nothing was written
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		column := strings.Fields(lines.Text())
		if len(column) < 10 {
			continue
		}
		if mine, ok := parseAddress(column[1]); !ok || mine != from {
			continue
		}
		if other, ok := parseAddress(column[2]); ok && other == to {
			return column[9]
		}
	}
	return ""
}

// parseAddress reads an address as the kernel writes it: words in the order of bytes of
// the machine, in hexadecimal.
func parseAddress(s string) (netip.AddrPort, bool) {
	host, port, _ := strings.Cut(s, ":")
	words, err := hex.DecodeString(host)
	n, err2 := strconv.ParseUint(port, 16, 16)
	if err != nil || err2 != nil || len(words) != 4 && len(words) != 16 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(words); i += 4 {
		binary.NativeEndian.PutUint32(words[i:], binary.BigEndian.Uint32(words[i:]))
	}
	addr, _ := netip.AddrFromSlice(words)
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), true
}

// family returns the process and all that descend from it, as they are now.
func family(pid int) []int {
	children := make(map[int][]int)
	entries, _ := os.ReadDir(proc) // what cannot be read does not belong
	for _, e := range entries {
		id, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join(proc, e.Name(), "stat"))
		if err != nil {
			continue // it has ended
		}
		// After the name, which may hold anything: the state and the parent.
		after := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(after) < 2 {
			continue
		}
		if parent, err := strconv.Atoi(string(after[1])); err == nil {
			children[parent] = append(children[parent], id)
		}
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// heldBy reports whether one of the processes has a descriptor of the file.
func heldBy(pids []int, file string) bool {
	for _, pid := range pids {
		dir := filepath.Join(proc, strconv.Itoa(pid), "fd")
		entries, _ := os.ReadDir(dir) // as above
		for _, e := range entries {
			if target, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && target == file {
				return true
			}
		}
	}
	return false
}
