package registry_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder/registry"
)

// digests returns what each tag is known to name, by tag.
func (l *ledger) digests(repository string, tags ...string) map[string]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	digests := map[string]string{}
	for _, tag := range tags {
		digests[tag] = l.positions[repository+":"+tag].Digest
	}
	return digests
}

// A registry that tells of pushes may tell of ours before we hear that they
// are through, so what a tag will name is known before it is put.
func TestDigestIsKnownBeforeTheTagIsPut(t *testing.T) {
	f := &front{Handler: distribution(t, false)}
	repo := serve(t, f)
	l := newLedger()
	c := registry.New(registry.Options{Ledger: l})
	first, second := pushImage(t, repo), pushImage(t, repo)
	if _, err := c.Put(t.Context(), request(repo, first, at("a", 1), "latest")); err != nil {
		t.Fatal(err)
	}
	f.on(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if tag := putTag(r); tag != "" {
			if got := l.digests(repo, tag)[tag]; got != second {
				t.Errorf("when %s is put it is known to name %q, want %s", tag, got, second)
			}
		}
		return false
	})
	if _, err := c.Put(t.Context(), request(repo, second, at("b", 2), "latest", "new")); err != nil {
		t.Fatal(err)
	}
}

// What could not be put is known as it was, also of tags that somebody else
// had put.
func TestDigestIsPutBack(t *testing.T) {
	f := &front{Handler: distribution(t, false)}
	repo := serve(t, f)
	l := newLedger()
	first, second := pushImage(t, repo), pushImage(t, repo)
	if _, err := registry.New(registry.Options{}).Put(t.Context(), request(repo, first, at("x", 1), "theirs")); err != nil {
		t.Fatal(err)
	}
	c := registry.New(registry.Options{Ledger: l})
	if _, err := c.Put(t.Context(), request(repo, first, at("a", 1), "latest")); err != nil {
		t.Fatal(err)
	}
	f.on(refuse("bad", 403))
	if _, err := c.Put(t.Context(), request(repo, second, at("b", 2), "latest", "theirs", "new", "bad")); err == nil {
		t.Fatal("the tag was put")
	}
	want := map[string]string{"latest": first, "theirs": first, "new": "", "bad": ""}
	if diff := cmp.Diff(want, l.digests(repo, "latest", "theirs", "new", "bad")); diff != "" {
		t.Errorf("known (-want +got):\n%s", diff)
	}
}
