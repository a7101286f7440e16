package lock

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// errLost says that another connection was the first to use a server.
var errLost = errors.New("pinned by another connection")

// pins is the judge of one connection to a pinned server.
type pins struct {
	server   string
	firstUse bool
	artifact *Artifact
	approved *store
	pending  *store
	log      *slog.Logger
	now      func() time.Time
	records  tally

	mu sync.Mutex
	// next is the cursor by which a first list goes on; a kind is here as long as this
	// connection is in the middle of its first list.
	next map[Kind]string
	// seen are the digests that the server showed last, of approved names.
	seen map[Kind]map[string]string
}

// load returns what is approved of the server, or nil.
func (p *pins) load() (*Server, *mcpsec.Denial) {
	file, err := p.approved.load()
	if err != nil {
		return nil, p.unreadable(err)
	}
	return file.Servers[p.server], nil
}

func (p *pins) unreadable(err error) *mcpsec.Denial {
	return codeUnreadable.Deny(fmt.Sprintf("server %s: %v", quote(p.server), err)).Because(err)
}

func (p *pins) identity(ctx context.Context, d shown) *mcpsec.Denial {
	server, denial := p.load()
	if denial != nil {
		return denial
	}
	if server == nil && p.firstUse {
		switch err := p.trust(ctx, d); {
		case err == nil:
			return nil
		case !errors.Is(err, errLost):
			return p.unreadable(err)
		}
		if server, denial = p.load(); denial != nil {
			return denial
		}
	}
	if server != nil && !p.launches(server.Artifact) {
		return codeChanged.Deny(fmt.Sprintf("server %s: the program that is launched is not the one in the lock file: run mcpsec lock add again after a wanted update", quote(p.server)))
	}
	return p.verdict(ctx, server, Identity, []shown{d})
}

// launches reports whether the host launches what is approved.
func (p *pins) launches(approved *Artifact) bool {
	if approved == nil || p.artifact == nil {
		return approved == p.artifact
	}
	return *approved == *p.artifact
}

// trust pins a server that is not in the file.
func (p *pins) trust(ctx context.Context, d shown) error {
	err := p.approved.update(ctx, func(f *File) (bool, error) {
		if f.Servers[p.server] != nil {
			return false, errLost
		}
		if len(f.Servers) >= MaxServers {
			return false, fmt.Errorf("more than %d servers", MaxServers)
		}
		f.Servers[p.server] = &Server{Artifact: p.artifact, Identity: p.define(d, OnFirstUse)}
		return true, nil
	})
	if err == nil {
		p.log.WarnContext(ctx, "server pinned on first use", "server", p.server, "sha256", d.sha256)
	}
	return err
}

func (p *pins) page(ctx context.Context, k Kind, pg page) *mcpsec.Denial {
	if pg.cursor == "" {
		p.goOn(k, "") // another list begins: what the server left open is over
	}
	server, denial := p.load()
	if denial != nil {
		return denial
	}
	if server != nil && p.firstList(server, k, pg) {
		switch err := p.extend(ctx, k, pg); {
		case err == nil:
			p.goOn(k, pg.next)
		case !errors.Is(err, errLost):
			return p.unreadable(err)
		}
		if server, denial = p.load(); denial != nil {
			return denial
		}
	}
	return p.verdict(ctx, server, k, pg.shown)
}

// firstList reports whether the page belongs to the first list of its kind.
func (p *pins) firstList(server *Server, k Kind, pg page) bool {
	if !p.firstUse || server.Identity == nil || server.Identity.How != OnFirstUse {
		return false
	}
	if pg.cursor == "" {
		return *server.list(k) == nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next[k] == pg.cursor
}

// goOn notes by which cursor a first list goes on, if it does.
func (p *pins) goOn(k Kind, next string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if next == "" {
		delete(p.next, k)
	} else {
		p.next[k] = next
	}
}

// extend pins what a page of a first list shows and is not pinned yet.
func (p *pins) extend(ctx context.Context, k Kind, pg page) error {
	added := 0
	err := p.approved.update(ctx, func(f *File) (bool, error) {
		server := f.Servers[p.server]
		if server == nil || pg.cursor == "" && *server.list(k) != nil {
			return false, errLost
		}
		if list := server.list(k); *list == nil {
			*list = make(map[string]*Definition)
		}
		for _, d := range pg.shown {
			if server.get(k, d.name) != nil {
				continue // it is judged like any other
			}
			if err := server.put(k, d.name, p.define(d, OnFirstUse)); err != nil {
				return false, err
			}
			added++
		}
		return true, nil
	})
	if err == nil {
		p.log.WarnContext(ctx, "definitions pinned on first use", "server", p.server, "kind", k.Name, "count", added)
	}
	return err
}

func (p *pins) define(d shown, how How) *Definition {
	return &Definition{SHA256: d.sha256, How: how, At: p.now().UTC().Truncate(time.Second), Text: d.text}
}

// verdict compares what a server shows with what is approved. What is not approved is
// kept for review.
func (p *pins) verdict(ctx context.Context, server *Server, k Kind, list []shown) *mcpsec.Denial {
	var changes []Change
	for _, d := range list {
		before := server.get(k, d.name)
		if before != nil {
			p.saw(k, d)
		}
		if before == nil || before.SHA256 != d.sha256 {
			changes = append(changes, Change{Server: p.server, Kind: k, Name: d.name, Old: before, New: p.define(d, refused)})
		}
	}
	if len(changes) == 0 {
		return nil
	}
	code := codeUnapproved
	for _, c := range changes {
		each := codeUnapproved.Name
		if c.Old != nil {
			code, each = codeChanged, codeChanged.Name
		}
		p.record(ctx, "definition refused", each, "kind", k.Name, "name", c.Name,
			"approved", digestOf(c.Old), "shown", c.New.SHA256)
	}
	detail, remedy := "", "run mcpsec lock review"
	if err := keep(ctx, p.pending, changes); err != nil {
		detail = " (it could not be kept for review: " + err.Error() + ")"
		remedy = "run mcpsec lock add"
	}
	return code.Deny(fmt.Sprintf("server %s: %s: %s%s", quote(p.server), summary(changes), remedy, detail))
}

// saw notes what an approved definition looked like last.
func (p *pins) saw(k Kind, d shown) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen[k] == nil {
		p.seen[k] = make(map[string]string)
	}
	p.seen[k][d.name] = d.sha256
}

// use refuses a tool or prompt that is not approved, or whose definition was another
// one when the server showed it last.
func (p *pins) use(k Kind, name string) *mcpsec.Denial {
	server, denial := p.load()
	if denial != nil {
		return denial
	}
	approved := server.get(k, name)
	if approved == nil {
		return codeUnapproved.Deny(fmt.Sprintf("server %s: %s %s was never approved: run mcpsec lock review", quote(p.server), k, quote(name)))
	}
	p.mu.Lock()
	last, shown := p.seen[k][name]
	p.mu.Unlock()
	if shown && last != approved.SHA256 {
		return codeChanged.Deny(fmt.Sprintf("server %s: %s %s changed since it was approved: run mcpsec lock review", quote(p.server), k, quote(name)))
	}
	return nil
}

func (p *pins) refused(ctx context.Context, d *mcpsec.Denial) {
	p.record(ctx, "refused", d.Code, "reason", d.Reason)
}

func digestOf(d *Definition) string {
	if d == nil {
		return ""
	}
	return d.SHA256
}

// summary names a few changes.
func summary(changes []Change) string {
	const most = 3
	text := ""
	for i, c := range changes {
		if i == most {
			return fmt.Sprintf("%s; and %d more", text, len(changes)-most)
		}
		if i > 0 {
			text += "; "
		}
		text += c.reason()
	}
	return text
}
