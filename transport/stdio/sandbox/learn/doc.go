// Package learn runs a command with everything allowed, follows the system calls of it and
// of all its descendants, and writes the smallest [sandbox.Profile] that covers what they
// did: the first draft of a profile, for a reviewer to read.
//
// # What it stops
//
// Profiles that are wider than they need to be because nobody knew what a server touches.
//
// # What it does not stop
//
// Anything while it learns: the command runs with all the rights of the user. And a
// profile holds what the command did this time: a server that behaves while it is watched
// is given nothing extra, but one that misbehaves then has it written into its profile.
// Paths that many programs share are widened to folders (node_modules, the folder of four
// files and more). Names of hosts come from the answers of name servers that the command
// asked itself; where a daemon resolves names, addresses stand in their place, and a
// remark says so.
package learn
