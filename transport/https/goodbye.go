package https

import (
	"fmt"
	"net/http"
	"time"

	"github.com/mcpsec/mcpsec-go/transport/https/internal/stream"
)

// End begins the end, as of [stream.Target].
func (p *response) End(cause stream.Cause) {
	if !cause.Gentle() {
		p.ended.Store(true)
		p.cancel()
		p.Kill()
		return
	}
	if p.hooks.single {
		p.cancel() // its answer says so; Kill ends it if none comes
		return
	}
	goodbye := ": this stream ends: " + cause.String() + "\n\n"
	if cause == stream.Shutdown {
		goodbye = "retry: 1000\n" + goodbye
	}
	said := p.server.later(func() {
		p.mu.Lock() // what is being written comes first; Kill ends it if it takes long
		defer p.mu.Unlock()
		if p.events && !p.ended.Load() {
			_ = p.send([]byte(goodbye), p.server.patience.goodbye) // it ends in any case
		}
		p.ended.Store(true)
		p.cancel()
	})
	if !said {
		p.cancel()
	}
}

// Kill cuts the response off: the writer that waits for a reader returns at once.
func (p *response) Kill() {
	p.cancel()
	p.life.Lock()
	defer p.life.Unlock()
	if p.over {
		return
	}
	p.ended.Store(true)
	p.sever()
}

// Warn tells a client when its credentials expire.
func (p *response) Warn(at time.Time) bool {
	return p.comment(fmt.Sprintf(": credentials expire at %s: send a request with fresh ones to keep this stream\n\n", at.UTC().Format(time.RFC3339)), true)
}

// Beat sends a comment if nothing was sent for a while, takes back the deadline of what was,
// and sends an answer whose handler does not return.
func (p *response) Beat(now time.Time) {
	if p.http2 && p.mu.TryLock() { // otherwise something is written
		p.disarm()
		p.mu.Unlock()
	}
	every := p.server.limits.KeepAlive
	if p.held.Load() || every > 0 && now.UnixNano()-p.wrote.Load() >= int64(every) {
		p.comment(":\n\n", false)
	}
}

// comment sends a comment in the background, and reports whether it will. While something
// else is written it waits, or there is no need for it.
func (p *response) comment(text string, wait bool) bool {
	if p.silent.Load() || !p.beats.CompareAndSwap(false, true) {
		return false
	}
	taken := p.server.later(func() {
		defer p.beats.Store(false)
		if wait {
			p.mu.Lock()
		} else if !p.mu.TryLock() {
			return
		}
		defer p.mu.Unlock()
		p.say(text)
	})
	if !taken {
		p.beats.Store(false)
	}
	return taken
}

// say sends a comment. The lock is held.
func (p *response) say(text string) {
	if p.ended.Load() {
		return
	}
	if p.status == 0 {
		// A call that takes long: the answer begins now, as an event stream.
		p.early, p.status, p.events = true, http.StatusOK, true
		h := p.w.Header()
		h["Content-Type"] = headerEvents
		p.protect(h)
		p.w.WriteHeader(http.StatusOK)
	}
	if p.events {
		_ = p.send([]byte(text), p.server.limits.Write) // which ends the response if it fails
	}
}
