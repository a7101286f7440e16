// Package syslog sends the record to a syslog receiver, each entry as one message
// of RFC 5424 over TLS (RFC 5425).
//
//	receiver, err := syslog.New(syslog.Config{
//		Address: "siem.example.com:6514",
//		TLS:     &tls.Config{RootCAs: roots, Certificates: certificates},
//	})
//	...
//	audit.Ship("siem", receiver)
//
// A message names the record in its structured data, and has it in full as its
// text, in the language of [Config.Format]:
//
//	422 <108>1 2026-11-22T09:15:00.123456Z host mcpsec 4711 outcome [mcpsec@32473 id="files:17" ...] {"seq":17,...}
//
// # When a batch counts as delivered
//
// Syslog has no acknowledgement. What a write to a socket returns says nothing: the
// bytes may lie in a buffer of either kernel when the receiver dies. So each batch
// has a connection of its own, and counts as delivered when the connection ended
// well, which is when all of this was seen:
//
//   - every byte and then the TLS closure alert (close_notify) were written, and the
//     receiver did not end the connection before that;
//   - the receiver answered with its own closure alert, which nobody on the way can
//     forge, and which it sends when it has read ours, and so all that stands before
//     ([Config.AllowBareClose] does without it);
//   - it then closed the connection without a reset. A receiver that closes or dies
//     with bytes unread resets it;
//   - on Linux, its kernel acknowledged every byte and no reset followed. This closes
//     the gap in which a receiver that shuts down by itself says goodbye at the same
//     moment as we do. Elsewhere that gap stays: about one round trip long.
//
// Anything else is an error, and the whole batch comes again. A connection for each
// batch costs a handshake; [audit.Interval] keeps small batches apart. Set
// TLS.ClientSessionCache to make handshakes cheaper.
//
// # What it stops
//
// Forged and split messages: frames are counted in octets, and no character of a
// record can end a message, a parameter or the structured data. Values that callers
// chose are in the structured data with hidden characters and backslashes escaped as
// in a JSON string, and cut at a bound. Reading along and tampering on the way: TLS
// 1.2 or later, with the receiver's certificate verified. Vanishing by being long: a
// record whose message would exceed [Config.MaxBytes] is still sent, without its
// text, and is reported as rejected.
//
// # What it does not stop
//
// Loss after reading: that a receiver has read a record does not mean that it has
// stored it. One that is killed with records in memory loses them, and so does a
// relay or a load balancer that ends TLS in front of it. Give it a disk queue. The
// ledger still has every record.
//
// Truncation by whoever controls the network, if the receiver lets it pass: one that
// answers even an end without our closure alert with an alert of its own, as if all
// were well, confirms what it never got. TLS libraries tell it the difference.
//
// Repetition: when a connection breaks, records that had arrived come again. Their
// id, ORIGIN:SEQ, is the same; the receiver drops what it has.
//
// Receivers that never close: one that leaves the connection open after the closure
// alert never confirms anything, and each try ends with the deadline. One that closes
// without an alert of its own needs [Config.AllowBareClose]: the error says so.
package syslog
