package bearer

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Watch implements https.Tokens. It keeps keys fresh, and asks again about tokens in use
// where there is introspection; it ends its goroutines before it returns. Calls of changed
// and fault do not overlap with others of the same.
func (v *Verifier) Watch(ctx context.Context, changed func(), fault func(error)) error {
	var mu sync.Mutex
	tell := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		fault(err)
	}
	news := v.news.subscribe()
	defer v.news.unsubscribe(news)
	var work sync.WaitGroup
	defer work.Wait()
	for _, i := range v.issuers {
		work.Go(func() {
			i.keys.Watch(ctx, v.news.tell, tell)
			i.client.Close()
		})
		if i.ask != nil {
			r := &reconfirm{issuer: i, tokens: v.tokens, now: v.now, fault: tell}
			work.Go(func() { every(ctx, i.ask.Fresh/4, func() { r.round(ctx) }) })
		}
	}
	work.Go(func() { every(ctx, idle/8, func() { v.tokens.clean(v.now()) }) })
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-news:
			changed()
		}
	}
}

func every(ctx context.Context, period time.Duration, do func()) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do()
		}
	}
}

// reconfirm asks one issuer about its tokens in use before the last answer is too old. Each
// issuer has its own, so that one that is slow does not delay what others say.
type reconfirm struct {
	issuer *authority
	tokens *table
	now    func() time.Time
	fault  func(error)
	failed bool // in the round before
}

func (r *reconfirm) round(ctx context.Context) {
	places := make(chan struct{}, maxKnown)
	var first atomic.Pointer[error]
	var work sync.WaitGroup
	for _, g := range r.tokens.due(r.issuer, r.now()) {
		select {
		case <-ctx.Done():
			work.Wait()
			return
		case places <- struct{}{}:
		}
		work.Go(func() {
			defer func() { <-places }()
			if err := r.issuer.ask.again(ctx, g); err != nil && !g.ended.Load() {
				err = fmt.Errorf("bearer: issuer %s: %w", r.issuer.URL, err)
				first.CompareAndSwap(nil, &err)
			}
		})
	}
	work.Wait()
	err := first.Load()
	if err != nil && !r.failed && ctx.Err() == nil {
		r.fault(*err)
	}
	r.failed = err != nil
}

// news tells subscribers that something may have ended, and lets nobody wait.
type news struct {
	mu   sync.Mutex
	subs map[chan struct{}]struct{}
}

func newNews() *news { return &news{subs: make(map[chan struct{}]struct{})} }

func (n *news) subscribe() chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := make(chan struct{}, 1)
	n.subs[c] = struct{}{}
	return c
}

func (n *news) unsubscribe(c chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.subs, c)
}

func (n *news) tell() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.subs {
		select {
		case c <- struct{}{}:
		default: // one is on its way
		}
	}
}

// raise sets a time to a later one.
func raise(v *atomic.Int64, to int64) {
	for {
		have := v.Load()
		if have >= to || v.CompareAndSwap(have, to) {
			return
		}
	}
}
