package stream

// A Load is what one message weighs, counted while it arrives and until it is answered.
// Nil weighs nothing. It is for one goroutine at a time.
type Load struct {
	registry *Registry
	key      string
	bytes    int
}

// Load returns an empty load of a principal.
func (r *Registry) Load(key string) *Load { return &Load{registry: r, key: key} }

// Add counts bytes that have come. The errors are ErrFull, ErrBusy and ErrClosed.
func (l *Load) Add(bytes int) error {
	r := l.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.take(Weight, l.key, bytes); err != nil {
		return err
	}
	l.bytes += bytes
	return nil
}

// Move hands what the load counts to another one, which outlasts it.
func (l *Load) Move() *Load {
	if l == nil {
		return nil
	}
	other := *l
	l.bytes = 0
	return &other
}

// Release takes back what the load counts. It may be called more than once.
func (l *Load) Release() {
	if l == nil || l.bytes == 0 {
		return
	}
	r := l.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	r.give(Weight, l.key, l.bytes)
	l.bytes = 0
}
