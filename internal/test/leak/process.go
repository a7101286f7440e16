package leak

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Process returns what every process of the same user can read of the process and of
// those that it has started: environment and command line, by place (Linux).
func Process(pid int) (map[string][]byte, error) {
	texts := make(map[string][]byte)
	for _, p := range append(children(pid), pid) {
		for _, what := range []string{"environ", "cmdline"} {
			path := fmt.Sprintf("/proc/%d/%s", p, what)
			text, err := os.ReadFile(path)
			if err != nil {
				if p != pid && (os.IsNotExist(err) || errors.Is(err, syscall.ESRCH)) {
					continue // ended in the meantime
				}
				return nil, err
			}
			texts[path] = text
		}
	}
	return texts, nil
}

// children returns the processes below one.
func children(pid int) []int {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil // cannot be: the pattern is right
	}
	below := make(map[int][]int)
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // ended in the meantime
		}
		var self, parent int
		var state string
		if _, err := fmt.Sscan(string(text), &self); err != nil {
			continue
		}
		rest := text[bytes.LastIndexByte(text, ')')+1:] // a name may have spaces
		if _, err := fmt.Sscan(string(rest), &state, &parent); err == nil {
			below[parent] = append(below[parent], self)
		}
	}
	var all []int
	for todo := below[pid]; len(todo) > 0; todo = todo[1:] {
		all = append(all, todo[0])
		todo = append(todo, below[todo[0]]...)
	}
	return all
}
