package ocsf

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/internal/printable"
)

// base begins an event that is no call: Base Event, with what it reports as its
// activity.
func (f *Format) base(w *writer, kind string, severity label) {
	w.b = append(w.b, `{"activity_id":99`...)
	w.text("activity_name", kind)
	w.b = append(w.b, `,"category_uid":0,"category_name":"Uncategorized",`+
		`"class_uid":0,"class_name":"Base Event",`+
		`"type_uid":99,"type_name":"Base Event: Other"`...)
	w.enum("severity", severity)
}

// report says in words what happened.
func report(e *audit.Event) string {
	why := or(e.Reason, e.Detail)
	var what string
	switch e.Kind {
	case audit.Gap:
		what = " audit records lost"
	case audit.Pruned:
		what = " audit records removed"
	default:
		return or(why, string(e.Kind))
	}
	what = strconv.FormatUint(e.Count, 10) + what
	if why == "" {
		return what
	}
	return what + ": " + why
}

// other appends a gap, a pruning, a recovery, a message of the program, or what a later
// version may record.
func (f *Format) other(w *writer, r *audit.Record, e *audit.Event) {
	f.base(w, string(e.Kind), severityOf(e))
	f.times(w, e)
	w.text("message", report(e))
	w.text("status_code", e.Code)
	w.text("status_detail", e.Detail)

	f.metadata(w, r, string(e.Kind))
	w.text("correlation_uid", e.ID)
	w.uint("sequence", r.Seq)
	w.stamp("original_time", e.Time)
	w.text("log_level", e.Level)
	if f.schema == Preview {
		w.texts("profiles", integrityProfile)
	}
	if f.schema != Compat {
		w.flag("is_truncated", e.Truncated)
	}
	w.close()

	f.integrity(w, r)
	w.open("unmapped")
	f.strangeLeftovers(w, e)
	f.leftovers(w, r, e)
	w.close()
	w.close()
}

// checkpoint appends a signed checkpoint. It holds no time, so its event has that
// of its sending.
func (f *Format) checkpoint(w *writer, r *audit.Record) {
	f.base(w, "checkpoint", informational)
	w.int("time", f.now().UnixMilli())
	w.text("message", "the ledger's first "+strconv.FormatUint(r.Seq, 10)+" records, signed")
	f.metadata(w, r, "checkpoint")
	w.close()
	w.open("unmapped")
	w.open("ledger")
	w.text("origin", r.Origin)
	w.text("size", strconv.FormatUint(r.Seq, 10))
	w.text("checkpoint", r.Checkpoint)
	w.close()
	w.close()
	w.close()
}

// prevOf returns the member prev of a ledger's line, which is a part of the leaf
// hash of the line before; nil if the line is not of the ledger's form.
func prevOf(r *audit.Record) []byte {
	const size = 16
	start := append(strconv.AppendUint([]byte(`{"seq":`), r.Seq, 10), `,"prev":"`...)
	rest, ok := bytes.CutPrefix(r.Line, start)
	if !ok || len(rest) <= size || rest[size] != '"' {
		return nil
	}
	for _, c := range rest[:size] {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return nil
		}
	}
	return rest[:size]
}

// leafOf returns the RFC 6962 leaf hash of a ledger's line, in hexadecimal digits.
func leafOf(r *audit.Record) string {
	h := sha256.New()
	h.Write([]byte{0})
	h.Write(r.Line)
	return hex.EncodeToString(h.Sum(nil))
}

// maxRaw is how long a string of OCSF 1.1.0 may be.
const maxRaw = 65535

// integrity appends the ledger's line as it stands, if that is wanted, and for 1.9
// its place in the chain. What is attested is the line, not this event.
func (f *Format) integrity(w *writer, r *audit.Record) {
	if f.raw && len(r.Line) <= maxRaw {
		w.name("raw_data")
		w.b = printable.AppendString(w.b, string(r.Line))
	}
	prev := prevOf(r)
	if f.schema != Preview || prev == nil {
		return
	}
	w.list("attestation_list")
	w.element()
	w.text("uid", r.ID())
	w.text("chain_uid", r.Origin)
	fingerprint(w, "RFC 6962 leaf hash, SHA-256", leafOf(r))
	if r.Seq > 0 {
		before := audit.Record{Origin: r.Origin, Seq: r.Seq - 1}
		w.open("prev_event")
		w.text("uid", before.ID())
		fingerprint(w, "RFC 6962 leaf hash, SHA-256, first 64 bits", string(prev))
		w.close()
	}
	w.close()
	w.end()
}

func fingerprint(w *writer, algorithm, value string) {
	w.open("fingerprint")
	w.enum("algorithm", label{99, algorithm})
	w.enum("encoding", label{1, "Hex"})
	w.enum("serialization", label{99, "mcpsec-audit/1 record line"})
	w.text("value", value)
	w.close()
}
