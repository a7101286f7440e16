package procfs

import (
	"errors"
	"math"
	"strings"
	"testing"
)

const status = "Name:\tSeccomp: 2\\nCapEff: 0\nUmask:\t0022\nTgid:\t12\nUid:\t1000\t1000\t1000\t1000\nGid:\t1000\t0\t1000\t1000\nGroups:\t \n" +
	"CapEff:\t000001ffffffffff\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t3\nSpeculation_Store_Bypass:\tthread force mitigated\nShort:\t1 2 3\nLong:\t1 2 3 4 5\nBig:\t1 2 3 4294967296\nEmpty:\nTwice:\t1\nTwice:\t2\nNumber:\t-1"

func TestStatusThatLies(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Tgid": "12", "Seccomp": "2", "Seccomp_filters": "3", "Groups": "", "Speculation_Store_Bypass": "thread force mitigated", "Empty": "", "Number": "-1",
		"Name": `Seccomp: 2\nCapEff: 0`, // what a program calls itself is no line
	} {
		if got, err := Status(status).Field(name); got != want || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for name, missing := range map[string]bool{"CapPrm": true, "Cap": true, "seccomp": true, ": 2": true, "": true, "Twice": false} {
		if got, err := Status(status).Field(name); err == nil || errors.Is(err, ErrMissing) != missing {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
	for name, test := range map[string]struct {
		base int
		want uint64
		ok   bool
	}{
		"CapEff": {16, 0x1ffffffffff, true}, "NoNewPrivs": {10, 1, true}, "Umask": {8, 0o22, true},
		"CapPrm": {16, 0, false}, "Twice": {10, 0, false}, "Number": {10, 0, false}, "Empty": {10, 0, false}, "Uid": {10, 0, false},
	} {
		if got, err := Status(status).Number(name, test.base); got != test.want || (err == nil) != test.ok {
			t.Errorf("%s: %d, %v", name, got, err)
		}
	}
	for name, want := range map[string][4]uint32{"Uid": {1000, 1000, 1000, 1000}, "Gid": {1000, 0, 1000, 1000}} {
		if got, err := Status(status).IDs(name); got != want || err != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for _, name := range []string{"Short", "Long", "Big", "Empty", "Number", "Twice", "None"} {
		if got, err := Status(status).IDs(name); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestLimitsThatAreNone(t *testing.T) {
	t.Parallel()
	const text = `Limit                     Soft Limit           Hard Limit           Units     
Max cpu time              unlimited            3600                 seconds   
Max open files            1024                 1048576              files     
Max nice priority         0                    0                    
Max file size             5                    
Max data size             x                    5                    bytes     
Max processes             -1                   5                    processes 
Max locked memory         1                    1                    bytes     
Max locked memory         2                    2                    bytes     
Max core file size`
	for name, want := range map[string][2]uint64{
		"Max cpu time": {math.MaxUint64, 3600}, "Max open files": {1024, 1 << 20}, "Max nice priority": {0, 0},
	} {
		if soft, hard, err := Limits(text).Of(name); soft != want[0] || hard != want[1] || err != nil {
			t.Errorf("%s: %d, %d, %v", name, soft, hard, err)
		}
	}
	for _, name := range []string{"Max file size", "Max data size", "Max processes", "Max locked memory", "Max core file size", "Max open", "Limit", "", "Max file locks"} {
		if soft, hard, err := Limits(text).Of(name); err == nil {
			t.Errorf("%s: %d, %d", name, soft, hard)
		}
	}
	if value, err := Limits(text).Field("Max open files"); strings.Join(strings.Fields(value), " ") != "1024 1048576 files" || err != nil {
		t.Errorf("%q, %v", value, err)
	}
}

func TestMountsWithBlanksInTheirNames(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]Mount{
		"66 65 0:40 / /proc rw,nosuid - proc none rw":                                 {"/", "/proc", "rw,nosuid", "proc", "rw"},
		"70 69 254:0 /w /tmp/work rw,noexec shared:1 master:2 - ext4 /dev/vda rw,a=b": {"/w", "/tmp/work", "rw,noexec", "ext4", "rw,a=b"},
		`71 65 254:0 /a\040- /srv/a\011b\012c\134 ro - ext4 /dev/vda rw`:              {"/a -", "/srv/a\tb\nc\\", "ro", "ext4", "rw"},
		"72 65 254:0 /x\u00a0/proc /srv/\v/proc ro,nosuid - ext4 /dev/vda rw":         {"/x\u00a0/proc", "/srv/\v/proc", "ro,nosuid", "ext4", "rw"},
		"73 65 0:50 / /a ro - tmpfs  rw":                                              {"/", "/a", "ro", "tmpfs", "rw"},
		"74 65 0:50 / /a\\04 ro - fuse.x\\040y /dev/vda rw,x y":                       {"/", `/a\04`, "ro", "fuse.x\\040y", "rw,x y"},
	} {
		seen := 0
		for m, err := range Mounts(line + "\n") {
			if seen++; m != want || err != nil {
				t.Errorf("%q: %+v, %v", line, m, err)
			}
		}
		if seen != 1 {
			t.Errorf("%q: %d mounts", line, seen)
		}
	}
	for _, line := range []string{"", "65", "66 65 0:40 / /proc - proc none rw", "66 65 0:40 / /proc rw proc none rw", "66 65 0:40 / /proc rw - proc none", "66 65 0:40 / /proc rw - proc", "66 65 0:40 / /proc rw -", "66 65 0:40 / proc rw - proc none rw"} {
		for m, err := range Mounts(line + "\n66 65 0:40 / /proc rw - proc none rw\n") {
			if err == nil {
				t.Errorf("%q: %+v", line, m)
			}
			break
		}
	}
	for range Mounts("") {
		t.Error("a mount of nothing")
	}
	if o := Options("rw,noexecutive,nosuid"); o.Has("noexec") || !o.Has("nosuid") || !o.Has("rw") || o.Has("") || !Options("").Has("") {
		t.Error("options are compared by their beginnings")
	}
}
