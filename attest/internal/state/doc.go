// Package state remembers which manifests a host has accepted, because a signature says
// who made a manifest and never that it is the latest one.
//
// # What it stops
//
// Rollback: an older manifest, correctly signed, put in the place of a newer one. Two
// manifests of one sequence. A clock set back so that an expired manifest is valid again.
// A state that was deleted, cut off, edited, or restored from a backup to forget.
//
// # How
//
// Two files with mode 0600, replaced as a whole and synced: the state, under an
// HMAC-SHA-256, and the key with the number of the state's last generation. A state
// without its key, a key without its state and a state older than the key says are a
// loss, and so is a lock file that says it was in use, alone. A loss refuses every manifest
// until the operator pins the lowest sequence that may be accepted. That minimum is also
// the form for containers that keep no files.
//
// # What it does not stop
//
// Whoever can write all files, as the server's user and root can, or restore them from
// one backup, or remove them all: to the server that is the past, or a first use, which has
// nothing to compare with. A key in another folder makes that harder.
// On systems other than Unix the rights of the files are not checked.
package state
