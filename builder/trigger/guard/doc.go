// Package guard is the only way out for what triggers send: it hides which
// addresses may be reached, which redirects are followed, and how a failed
// exchange is worded. Whoever can push can name any address; the guard keeps
// that from becoming a way into the operator's network.
package guard
