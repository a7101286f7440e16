// Package child gives credentials to a process that a tool starts, without its
// environment or its arguments, where every process of the same user can read them.
//
//	cmd := exec.Command("openssl", "pkcs12", "-in", file, "-passin", "fd:{fd:keystore}")
//	cmd.Env = []string{"PATH=/usr/bin"}
//	cmd.Stdout = out
//	err := child.Run(ctx, cmd, child.Raw("keystore"))
//
// [Pipe] and [Raw] hand a credential over once, through an inherited pipe whose number
// the child finds where {fd:NAME} stood in its arguments or environment. [AWS] is for
// children that use an SDK of AWS or its command line: they fetch what they need from
// an endpoint on the loopback, and fetch it again before it ends. All take the
// credential from the handle of the call (see creds.From), so that a tool can pass on
// what is bound to it and nothing else.
//
// # What it stops
//
// A child that inherits the server's environment with whatever is in it: the child's is
// what cmd.Env says, and nothing if that is nil. A credential in the argument list or in
// the environment: Run refuses to start a child that has one there, as it was issued. A child that finds
// other keys first: the SDK is pointed away from files of the user, and from the
// metadata service. Another process that reaches the endpoint: it needs a token that
// is in no environment, and on Linux it must be the child or have been started by it;
// another Host header than the endpoint's own, as a web page could send after DNS
// rebinding, is refused. A child that outlives the call: it is killed with the context,
// on Unix with its process group, and the endpoint ends with it.
//
// # What it does not stop
//
// The child itself, and what it starts: it has the credential and can do with it
// whatever it allows. A child that is told by a model which file to read or send: the
// name can be /dev/fd/3, or hold {fd:NAME} itself, and the file then is the credential;
// judge such names, or pass the content on standard input. A process of the same user, or root, that may trace the child
// (ptrace) or open its descriptors under /proc: run the child as another user, in a
// sandbox, or with kernel.yama.ptrace_scope at 1 or more. A descendant that left the
// process group, or was left behind by a child that ended by itself, is not killed.
//
// A program between the child and the SDK that closes what it inherits (Python's
// subprocess does by default) leaves the SDK without its token; it then has no
// credentials. Linux is where all of this is tested. On other Unixes the token is in a
// file that only its owner may read, and the endpoint cannot see whose a connection is.
// On Windows, Run refuses.
package child
