// Package leak looks for secrets where none may be: in what a program printed, recorded
// or crashed with, in its environment and its command line. A [Scanner] knows the
// secrets of a test and finds them in every form in which they are likely to get out; [Gitleaks]
// knows none of them and finds what looks like one.
//
// The test of this package runs a guarded server (folder server) whose providers issue
// such secrets, makes it fail in every way it has, and scans all that comes out of it.
package leak
