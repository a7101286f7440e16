package stream

import (
	"errors"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A Holder is on whose credentials something is open. It is immutable.
type Holder struct {
	Principal mcpsec.Principal
	// Key is the principal's.
	Key string
	// Address is the host that the credentials came from.
	Address string
	// Expires is when the credentials end by themselves; zero is never.
	Expires time.Time
	// Still reports why the credentials are no longer good. It is cheap and may be nil.
	Still func() error
	// Certified says that the principal is known by a client certificate, which a thief
	// of a token cannot show.
	Certified bool
	// Shown tells credentials apart, where it can: two that are equal are the same. It is
	// comparable, and may be nil.
	Shown any
}

// errPanicked is the verdict of a judge who cannot judge.
var errPanicked = errors.New("stream: Still panicked")

func (h *Holder) still() (err error) {
	if h.Still == nil {
		return nil
	}
	defer func() {
		if recover() != nil {
			err = errPanicked
		}
	}()
	return h.Still()
}

func (h *Holder) outlasts(other *Holder) bool {
	return h.Expires.IsZero() || !other.Expires.IsZero() && !h.Expires.Before(other.Expires)
}

// A Cause is why something was ended by the registry.
type Cause int

// The causes.
const (
	Expired  Cause = iota + 1 // the credentials ended by themselves
	Invalid                   // revoked, or no longer trusted
	Frozen                    // by the kill switch
	Aged                      // open for longer than anything may be
	Idle                      // a session without a message
	Slow                      // the reader does not take what is sent
	Shutdown                  // the server ends
)

var causeNames = [...]string{"", "expired", "invalid", "frozen", "aged", "idle", "slow", "shutdown"}

// String returns the cause in one word.
func (c Cause) String() string {
	if c < 0 || int(c) >= len(causeNames) {
		return ""
	}
	return causeNames[c]
}

// Gentle reports whether there is time to say goodbye: nobody is to be locked out.
func (c Cause) Gentle() bool { return c == Expired || c == Aged || c == Idle || c == Shutdown }

// A Target is what is open. Its methods are called from any goroutine, also at the same
// time, and do not block.
type Target interface {
	// End begins the end: nothing more of others' data is sent. It is called once.
	End(cause Cause)
	// Kill ends what End has not ended in time. It may be called more than once.
	Kill()
	// Warn tells the other side when the credentials expire. It reports whether it can now,
	// and is asked again if not.
	Warn(at time.Time) bool
	// Beat keeps the way to the other side open.
	Beat(now time.Time)
}
