// Package procfs reads what Linux says of processes and of the machine in the text files of
// /proc, /sys and cgroups, and decodes what is asked of it.
//
// Every read is bounded, and what is longer is an error, since what is not read is not
// checked. A line that is missing, stands there twice or cannot be read is an error as
// well: whoever asks decides about a process by the answer.
//
// Files are read by the bare system calls. A start reads a dozen of them, and package os
// would ask of each what kind of file it is. Decoding allocates nothing.
//
// It does not ask whether a number still belongs to the process that was meant: that is
// the caller's to know, who has not yet waited for it or stops it.
package procfs
