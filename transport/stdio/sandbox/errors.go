package sandbox

import "fmt"

// An UnavailableError says that a required control cannot be put in force here.
type UnavailableError struct {
	Control Control
	// Remedy says what to change; to start without the control is to name it in
	// [Command.Allow].
	Remedy string
	Err    error
}

func (e *UnavailableError) Error() string {
	s := fmt.Sprintf("sandbox: %s cannot be put in force: %v", e.Control, e.Err)
	if e.Remedy != "" {
		s += ": " + e.Remedy
	}
	return s
}

func (e *UnavailableError) Unwrap() error { return e.Err }
