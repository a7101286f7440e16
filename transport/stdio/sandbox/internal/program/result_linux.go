//go:build linux && (amd64 || arm64)

package program

// Result is what a call of the program returned, a negative errno if it failed; zero
// until it has run.
func (r *Run) Result(op *Op) int64 {
	return int64(r.arena.word(where(op) + opResult)) //nolint:gosec // a result as the kernel returns it
}
