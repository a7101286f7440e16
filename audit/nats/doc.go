// Package nats keeps the record in a NATS JetStream stream as well, where whoever
// breaks into the server cannot change it.
//
//	destination, err := nats.New(nats.Config{
//		URLs:    []string{"tls://nats-1.example:4222"},
//		Stream:  "AUDIT",
//		Subject: "audit.files",
//		Options: []gonats.Option{gonats.UserCredentials("audit.creds")},
//	})
//
// The destination is then run over a ledger: see [audit.Destination].
//
// # What is written
//
// Each record is one message: its data is what the format makes of it, its header
// Nats-Msg-Id is [audit.Record.ID] and its header Content-Type the format's media
// type. Checkpoints are messages of their own.
//
// # What it promises
//
// A record counts as delivered when the stream that Config names has acknowledged
// it; on how many servers it then is, is the stream's number of replicas. Nothing is
// skipped: a record is acknowledged, or named as rejected because it is larger than
// the server or the stream takes or cannot be written in the format, or Deliver
// returns an error and it comes again.
//
// What comes again is stored once if that is within the stream's duplicate_window,
// which is two minutes unless it is set. After a longer outage readers drop ids that
// they have seen.
//
// Records are stored in order as long as the stream takes them, whatever happens to
// the connection. When the stream begins to refuse them, up to 255 later ones are
// already on their way, and one of those may be stored first: a stream that is full
// for a long record may take the short one behind it. The seq in a record says where
// it belongs.
//
// # What it does not stop
//
// Records that were forged or left out before they got here: that is what the
// ledger's hashes and checkpoints show, and they are in the messages. Deletion by
// those who administer the stream, and loss by its limits if it discards the oldest:
// set discard to new, and deny_delete and deny_purge. Limit messages rather than
// bytes then: when what is left of max_bytes takes a message but not what is stored
// beside it, nats-server 2.9.10 deletes the oldest in spite of discard new.
//
// Forged acknowledgements, by whoever may subscribe to the subject and publish to
// inboxes: the server's user needs the right to publish to the subject and to
// subscribe to its inbox, and others need neither.
package nats
