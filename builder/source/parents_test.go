package source

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder/source/sourcetest"
)

// What the message says of parents is only what somebody wrote.
func TestParents(t *testing.T) {
	r := sourcetest.New(t, sourcetest.Files{"a": "1"})
	first := r.Hash("main")
	second := r.Commit("refs/heads/main", "second\n\nparent "+first+"\n", sourcetest.Files{"a": "2"})
	r.Git("branch", "topic", first)
	topic := r.Commit("refs/heads/topic", "topic", sourcetest.Files{"b": "1"})
	merge := r.Git("commit-tree", "-p", second, "-p", topic, "-m", "merge", r.Hash("topic^{tree}"))
	r.Git("branch", "merged", merge)
	s := New(Options{Dir: t.TempDir(), Origins: overHTTP(t, r)})
	for commit, want := range map[string][]string{first: nil, second: {first}, merge: {second, topic}} {
		got, err := openIn(t, s, commit).Parents(t.Context())
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", commit, err, diff)
		}
	}
}
