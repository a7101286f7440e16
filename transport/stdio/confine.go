package stdio

import "github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"

// Confine makes the process give up, before the first message and for good, what the
// profile does not name: see [sandbox.Confine]. Serve fails if a control cannot be put in
// force that allow does not name.
func Confine(profile sandbox.Profile, allow ...sandbox.Control) Option {
	return func(s *serving) {
		s.confine = func() error {
			_, err := sandbox.Confine(profile, allow...)
			return err
		}
	}
}
