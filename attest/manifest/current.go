package manifest

import (
	"errors"
	"fmt"
	"time"
)

// Errors of [Manifest.At].
var (
	ErrExpired   = errors.New("the manifest has expired")
	ErrNotYet    = errors.New("the manifest is not valid yet")
	ErrLongLived = errors.New("the manifest lives too long")
)

// At reports whether the manifest is valid at the time: from NotBefore on, before Expires,
// and made for no longer than the lifetime; 0 means [MaxLifetime]. There is no tolerance
// for clocks that differ: whoever signs can set NotBefore a little earlier.
func (m *Manifest) At(now time.Time, lifetime time.Duration) error {
	if lifetime == 0 {
		lifetime = MaxLifetime
	}
	const layout = time.RFC3339
	switch lives := m.Expires.Sub(m.NotBefore); {
	case lives > lifetime:
		return fmt.Errorf("%w: %s, the limit is %s: sign one that expires earlier", ErrLongLived, lives, lifetime)
	case now.Before(m.NotBefore):
		return fmt.Errorf("%w: it begins at %s, and the clock says %s", ErrNotYet, m.NotBefore.Format(layout), now.UTC().Format(layout))
	case !now.Before(m.Expires):
		return fmt.Errorf("%w: at %s, and the clock says %s: sign a new one", ErrExpired, m.Expires.Format(layout), now.UTC().Format(layout))
	}
	return nil
}
