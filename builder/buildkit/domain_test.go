package buildkit

import (
	"strings"
	"testing"
)

// What one owner's build leaves in a cache mount is found by the next build of
// that owner, and by nobody else's.
func TestCacheMountsStayInTheirDomain(t *testing.T) {
	s := newSolver(t)
	const dockerfile = shell + `RUN --mount=type=cache,id=shared,target=/cache ["/bin/busybox", "sh", "-c", "echo in the cache: $(/bin/busybox ls /cache); /bin/busybox touch /cache/left-by-$WHO"]` + "\n"
	for _, build := range []struct{ who, domain, sees string }{
		{"one", "git:acme", "in the cache:"},
		{"two", "git:evil", "in the cache:"},
		{"three", "git:acme", "in the cache: left-by-one"},
	} {
		r := request(strings.Replace(dockerfile, "$WHO", build.who, 1), nil)
		r.Domain = build.domain
		_, log := solve(t, s, r)
		if seen := seenBy(log, "in the cache:"); seen != build.sees {
			t.Errorf("%s of %s sees %q, want %q", build.who, build.domain, seen, build.sees)
		}
	}
}

// seenBy is what the log's last line has from the text on.
func seenBy(log, text string) string {
	found := ""
	for l := range strings.Lines(log) {
		if _, rest, ok := strings.Cut(l, text); ok && !strings.Contains(l, "RUN") {
			found = strings.TrimSpace(text + rest)
		}
	}
	return found
}
