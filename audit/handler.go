package audit

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A Handler is a log/slog handler that takes a program's own messages into the
// record, as events of kind Log: message and attributes, bounded, without secrets
// that can be recognised, in one line whatever they hold. Make one with
// [NewHandler]. It never blocks and never fails: what there is no room for is
// counted as lost.
type Handler struct {
	log    *Logger
	busy   *atomic.Int32 // messages being recorded
	level  slog.Leveler
	attrs  []mcpsec.Note
	groups string // prefix of the names to come
}

var _ slog.Handler = (*Handler)(nil)

// NewHandler makes a Handler for messages of a level and above; nil means
// slog.LevelInfo.
func NewHandler(l *Logger, level slog.Leveler) *Handler {
	if level == nil {
		level = slog.LevelInfo
	}
	return &Handler{log: l, level: level, busy: new(atomic.Int32)}
}

// Enabled implements [slog.Handler].
func (h *Handler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level.Level() }

// Handle implements [slog.Handler].
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	defer h.busy.Add(-1)
	if h.busy.Add(1) > maxBusy { // a sink that logs what it records would not end
		h.log.countLost("a flood of log messages")
		return nil
	}
	e := &Event{Kind: Log, Time: r.Time, Level: r.Level.String(), Policy: h.log.policy, blank: h.log.redact}
	if e.Time.IsZero() {
		e.Time = h.log.now()
	}
	e.Reason = e.bounded(r.Message, maxText)
	if a, ok := ctx.Value(accountKey{}).(*account); ok {
		e.Parent = a.event.ID // set before the account was shared
	}
	notes := slices.Clone(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		notes = flatten(notes, h.groups, a)
		return len(notes) <= maxNotes
	})
	for i := range notes {
		if h.log.redact != nil && h.log.redact.SecretName(notes[i].Key) {
			notes[i].Value = redacted
		}
	}
	e.note(notes)
	_ = h.log.record(context.WithoutCancel(ctx), e) // BestEffort: the ledger counts it
	return nil
}

// maxBusy bounds the messages that are recorded at the same time.
const maxBusy = 64

// redacted stands for a value whose name says that it is secret.
const redacted = "[redacted]"

// WithAttrs implements [slog.Handler].
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	o := *h
	o.attrs = slices.Clone(h.attrs)
	for _, a := range attrs {
		o.attrs = flatten(o.attrs, h.groups, a)
	}
	return &o
}

// WithGroup implements [slog.Handler].
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	o := *h
	o.groups += name + "."
	return &o
}

// flatten adds an attribute under its full name, or those of a group.
func flatten(notes []mcpsec.Note, prefix string, a slog.Attr) []mcpsec.Note {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, inner := range v.Group() {
			if len(notes) > maxNotes {
				break
			}
			notes = flatten(notes, prefix, inner)
		}
		return notes
	}
	if a.Equal(slog.Attr{}) {
		return notes
	}
	return append(notes, mcpsec.Note{Key: prefix + a.Key, Value: strings.Clone(v.String())})
}
