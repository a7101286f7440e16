package creds

import (
	"crypto/sha256"
	"iter"
	"time"
)

const (
	// lingerFor is how long a secret that is no longer in use is still looked for in
	// the record, if anybody does.
	lingerFor = 2 * time.Minute
	// maxLingering bounds how many are.
	maxLingering = 4096
)

// Held yields every secret the injector holds, and the parts of it that are secrets
// themselves, for audit.HeldSecrets. Who writes the record writes it after the call,
// when the call's own secrets are gone: so from the first use of Held on, secrets that
// are no longer in use are overwritten two minutes later, and not at once.
//
// The bytes are not to be kept or changed, and whoever is given them must not use the
// injector before it asks for the next. The sequence may be used concurrently.
func (in *Injector) Held() iter.Seq[[]byte] {
	if in == nil || in.cache == nil {
		return func(func([]byte) bool) {}
	}
	in.cache.mu.Lock()
	in.cache.scrub = true
	in.cache.mu.Unlock()
	return func(yield func([]byte) bool) {
		for _, v := range in.held() {
			more := true
			if v.look(func(secret []byte) { more = yield(secret) }); !more {
				return
			}
		}
	}
}

func (in *Injector) held() []Value {
	c := in.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		c.held = make([]Value, 0, 2*len(c.live)+len(in.fixed))
		for _, is := range in.fixed {
			c.held = append(c.held, is.m.Secret)
		}
		for is := range c.live {
			c.held = append(append(c.held, is.m.Secret), is.m.Parts...)
		}
	}
	return c.held
}

// hold makes a credential one that is held, until it is wiped. The cache is locked.
func (c *cache) hold(is *issued) {
	c.live[is] = struct{}{}
	c.held = nil
}

// finish overwrites a credential, now or when the record is written. The cache is
// locked.
func (c *cache) finish(is *issued) {
	switch {
	case !c.scrub || c.closed && !is.outlived:
		c.wipe(is)
		return
	case is.loans > 0: // when they are over
		return
	}
	now := c.clock()
	sum := is.m.digest()
	if twin, ok := c.lingering[sum]; ok { // a file has the same secret for every call
		if twin.wipeAt = now.mono + lingerFor; twin != is {
			c.wipe(is)
		}
		return
	}
	if len(c.lingering) >= maxLingering {
		c.unlingerOldest()
	}
	is.wipeAt = now.mono + lingerFor
	c.lingering[sum] = is
	c.sweepLater()
}

func (c *cache) wipe(is *issued) {
	is.m.wipe()
	delete(c.live, is)
	c.held = nil
}

func (c *cache) unlinger(now instant) {
	for sum, is := range c.lingering {
		if now.mono >= is.wipeAt {
			delete(c.lingering, sum)
			c.wipe(is)
		}
	}
}

func (c *cache) unlingerOldest() {
	var oldest [sha256.Size]byte
	var found *issued
	for sum, is := range c.lingering {
		if found == nil || is.wipeAt < found.wipeAt {
			oldest, found = sum, is
		}
	}
	if found != nil {
		delete(c.lingering, oldest)
		c.wipe(found)
	}
}
