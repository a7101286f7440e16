// Package seccomp compiles the published list of system calls into a filter program of
// the Linux kernel (classic BPF), for amd64 and arm64, on either.
//
// The list is an allow-list. It starts from the calls that container engines allow, and
// takes away what reaches code of the kernel that servers do not need or what changes a
// process other than the caller. What a refused call answers matters as much as that it
// is refused:
//
//   - a call of another architecture's interface (int 0x80) ends the process at once;
//   - a number the table does not know, the x32 interface, clone3 and io_uring answer
//     ENOSYS, so that libraries fall back to calls whose arguments a filter can read;
//   - a socket of another family answers EAFNOSUPPORT, another protocol EPROTONOSUPPORT;
//   - everything else answers EPERM.
//
// A filter sees numbers, not memory: it cannot judge a path or an address. Those are the
// work of Landlock and of the namespaces. It does not stop a bug in a call that it allows.
package seccomp
