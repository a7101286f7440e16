package mcpsec

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// checkNotification refuses a notification that the SDK would accept and then, as it cannot
// decode it, never handle: it would be recorded by nobody, and its frame would stay.
func checkNotification(m *Message) *Denial {
	var into any
	switch m.Method {
	case notifyProgress:
		into = &mcp.ProgressNotificationParams{}
	case notifyInitialized:
		into = &mcp.InitializedParams{}
	case notifyRootsChanged:
		into = &mcp.RootsListChangedParams{}
	}
	if params := m.Params(); into != nil && params != nil {
		if err := json.Unmarshal(params, into); err != nil {
			return codeMalformed.Deny("the parameters are not those of the notification").Because(err)
		}
	}
	return nil
}

// fleeting reports whether the message of a request is in no session that outlasts it. The
// SDK ends the session as soon as it has accepted a notification, and drops what it has not
// begun to handle by then.
func fleeting(r *http.Request) bool {
	return r.Header.Get("Mcp-Session-Id") == "" && !overSSE(r)
}

// overSSE reports whether a message is for the SDK's HTTP+SSE, which names its sessions in the
// query and keeps from the middleware which frame a message came in: nobody will come for it.
func overSSE(r *http.Request) bool {
	return r.Header.Get("Mcp-Session-Id") == "" && r.Header.Get("Mcp-Protocol-Version") < statelessVersion && strings.Contains(r.URL.RawQuery, "sessionid=")
}

// takeTTL bounds how long an accepted notification may wait for the middleware, which has
// it as soon as the scheduler lets it.
const takeTTL = 10 * time.Second

// accepted waits until the middleware has a notification whose session is fleeting: from
// then on the end of the session waits for its handler. It reports false if the middleware
// will not have it.
func (w *withheld) accepted() bool {
	if w.frame.taken == nil {
		return true
	}
	late := time.NewTimer(takeTTL)
	defer late.Stop()
	select {
	case <-w.frame.taken:
		return true
	case <-w.ctx.Done():
	case <-late.C:
	}
	return !w.frames.end(w.frame) // from now on it would come too late
}
