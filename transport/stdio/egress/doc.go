// Package egress lets a confined program reach the hosts on a list, by name, and nothing
// else; also if the program knows of no proxy.
//
// A [Policy] is a list of rules such as "api.example.com" or "*.example.com:8443"; see
// [Parse]. A [Server] answers on sockets that the sandbox made in the program's network
// namespace, from which nothing else leads out: a proxy (HTTP CONNECT, plain HTTP, SOCKS5), a
// name server that gives each listed name a made-up address of 198.18.0.0/15, and listeners
// for connections to those addresses. Where there is no namespace, the sandbox supervises
// connect calls and [Server.Connect] decides on them. A [Dialer] keeps the same rules for
// one's own process.
//
// # What it stops
//
//   - Connections to hosts and ports that are not listed, on any of these ways, whatever
//     form a name or address is written in. Datagrams are not passed on at all.
//   - Listed names that lead inside: a name is resolved once for each connection, its
//     addresses are checked, and one of those is dialled. Loopback, the host's own, private,
//     link-local, multicast and reserved addresses and those of metadata services are
//     dropped, also inside IPv6 (mapped, NAT64, ISATAP; 6to4 and Teredo altogether).
//   - Connections that ask for one name and speak under another: the ClientHello must carry
//     the name (SNI), every plain HTTP request must have it as Host. HTTP is read and written
//     anew, so that no request hides in another.
//   - Data carried out in questions for names: none ever leaves the host. Only what is
//     listed is resolved, when it is connected to.
//   - Exhaustion of the host: connections, bytes, questions, time and memory are bounded by
//     [Limits].
//
// Each decision is an [Event]. A refusal that a model may read tells it not to try again on
// another way.
//
// # What it does not stop
//
//   - Data carried out to a listed host. The list is the limit; below a wildcard, names
//     themselves can carry data to whoever answers for that domain.
//   - Another name inside TLS: an encrypted ClientHello, or a Host header that the listed
//     server takes for another site of its own. TLS is not opened. What follows the first
//     ClientHello and a WebSocket handshake is not looked at either.
//   - Anything under a rule with the word tcp beyond its host and port.
//   - A program that can open sockets outside its namespace: that is the sandbox's matter.
//     A Dialer binds only code that uses it, and looks into no connection.
//   - Refusals beyond a thousand at once and a hundred in a second are counted, not told
//     one by one.
package egress
