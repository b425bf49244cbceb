// Package fault is how the doubles of forges' servers misbehave when a test
// says so: requests fail, and webhooks come late, last first or not at all. It
// hides the queues behind that. What a failure looks like is each double's own.
package fault

import (
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
)

// Next is what the next requests that fit a pattern come to. The zero value is
// ready, and may be used concurrently.
type Next[F any] struct {
	mu      sync.Mutex
	planned []*planned[F]
}

type planned[F any] struct {
	pattern string
	times   int
	failure F
}

// Add plans the failure for so many requests; see Fits for patterns. What was
// planned first comes first.
func (n *Next[F]) Add(pattern string, times int, failure F) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.planned = append(n.planned, &planned[F]{pattern, times, failure})
}

// Forget drops what has not come yet.
func (n *Next[F]) Forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.planned = nil
}

// Take takes the failure that is meant for a request; false where it is to be
// answered as usual.
func (n *Next[F]) Take(r *http.Request) (failure F, fails bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	i := slices.IndexFunc(n.planned, func(p *planned[F]) bool { return Fits(p.pattern, r.Method, r.URL.Path) })
	if i < 0 {
		return failure, false
	}
	p := n.planned[i]
	if p.times--; p.times <= 0 {
		n.planned = slices.Delete(n.planned, i, i+1)
	}
	return p.failure, true
}

// Fits matches "POST /projects/*/statuses/*": * stands for one segment of the
// path or a part of it, ** at the end for all that follows; a method * for
// every method.
func Fits(pattern, method, requested string) bool {
	m, p, _ := strings.Cut(pattern, " ")
	if m != "*" && m != method {
		return false
	}
	if prefix, deep := strings.CutSuffix(p, "**"); deep {
		return strings.HasPrefix(requested, prefix)
	}
	ok, err := path.Match(p, requested)
	return ok && err == nil
}
