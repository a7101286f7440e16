// Package aws delivers the record to services of Amazon Web Services: data streams
// of Kinesis ([NewKinesis]), Firehose ([NewFirehose]), CloudWatch Logs ([NewLogs])
// and CloudTrail Lake ([NewCloudTrail]). Each is an [audit.Destination], to be run
// over the ledger by [audit.Ship], which keeps the place and tries for ever.
//
//	config := aws.Config{Region: "eu-central-1", Credentials: provider} // of the SDK
//	stream, err := auditaws.NewKinesis(config, auditaws.KinesisConfig{Stream: "mcp-audit"})
//	...
//	guard, err := mcpsec.New(audit.New(audit.Dir("audit"), audit.Ship("kinesis", stream)), ...)
//
// The configuration is the caller's: nothing is looked up in the environment, in
// shared files or in the metadata of a machine. Give the destination credentials of
// its own that may do the one action named with each constructor. A server that can
// also read or delete what it wrote can be made to do so by whoever takes it over.
//
// The keys are kept until a minute before they expire and renewed within the time
// that a delivery has, so put no aws.CredentialsCache around the provider: it lets a
// refresh that hangs hold up all later ones.
//
// # What it stops
//
// Loss that looks like success. A service that takes a request can refuse some of
// its records, in an answer of 200: those are sent again, and only those, with a
// growing pause. A record that the service will never take is reported as rejected
// and does not hold up the others. An answer that is cut short, empty, not of the
// API or that does not add up acknowledges nothing.
//
// Requests that are refused as a whole: the published limits of the services are
// kept by counting, before anything is sent.
//
// Secrets and forged lines in the log: no error repeats text of the service, of the
// SDK or of the provider of the credentials, only codes, status and request id. A
// message of more than one line is never sent. Nothing is sent in clear, but to the
// machine itself.
//
// # What it does not stop
//
// Duplicates: an answer that is lost on the way leaves open what has arrived, and
// none of these services takes a key against duplicates. The SDK tries a request
// that failed as a whole up to three times, unless the configuration's Retryer says
// otherwise, and the next Deliver sends what is left. Each record says its seq, and
// a receiver drops what it has of the same ledger and seq already. In [audit.JSON] a
// record does not name its ledger: give each ledger a log stream or a Firehose stream
// of its own, or use a format that does. In Kinesis the partition key names it, in
// CloudTrail the UID.
//
// Disorder: none of these services promises order between requests or in a request
// of which it refused a part. Receivers order by seq, which has no gaps, so that
// they also see what is missing.
//
// Loss behind the acknowledgement: a stream keeps records for as long as it was
// configured to, Firehose 24 hours while it cannot pass them on, a log group its
// retention. Deletion by who may delete: protect streams, groups, buckets and the
// keys they are encrypted with from the account that writes. Checkpoints are
// delivered too, so that what was changed there can be proved against them.
//
// A listener who has the keys of a certificate authority that the HTTP client of
// the configuration trusts, and a caller who gives it one that trusts everybody.
package aws
