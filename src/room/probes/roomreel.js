// Any page's own word: window.roomreel = { joined, peers, session, ended }, where `peers`
// is how many others there are, or a list of them.
() => window.roomreel ?? null
