package builder_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
)

const pathsFile = `version: 1
images:
  - name: api
    paths: ["api/**"]
    rules: [{branch: "*", tags: [latest]}, {pullRequest: true}]
  - name: web
    paths: ["web/**"]
    rules: [{branch: "*", tags: [latest]}, {pullRequest: true}]
`

func (l *town) tree(commit, parent string, files map[string]string) {
	l.file(commit, parent, pathsFile)
	for name, text := range files {
		l.commits[hash(commit)][name] = text
	}
	delete(l.commits[hash(commit)], "Dockerfile") // which every commit has otherwise
}

func TestWhatChanged(t *testing.T) {
	l := newTown(t)
	ctx := t.Context()
	l.tree("a0", "", map[string]string{"api/a": "1", "web/a": "1"})
	l.tree("a1", "a0", map[string]string{"api/a": "2", "web/a": "1"})
	l.tree("a2", "a1", map[string]string{"api/a": "2", "web/a": "2"})
	l.tree("a3", "a2", map[string]string{"api/a": "2", "web/a": "2", "doc": "1"})
	l.tree("71", "a1", map[string]string{"api/a": "2", "web/a": "3"})
	const unchanged = ": none of the files changed that its paths name (unchanged)"
	images := func(d builder.Decision) (built []string) {
		for _, b := range d.Builds {
			built = append(built, b.Image)
		}
		for _, r := range reasons(d) {
			if strings.HasSuffix(r, unchanged) {
				built = append(built, "-"+strings.TrimSuffix(r, unchanged))
			}
		}
		return built
	}
	check := func(what string, d builder.Decision, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, images(d)); diff != "" {
			t.Errorf("%s (-want +got):\n%s\n%+v", what, diff, d)
		}
	}
	push := func(ref, before, commit string) builder.Decision {
		if before != "" {
			before = hash(before)
		}
		return l.push(ctx, ref, before, hash(commit))
	}
	check("the first push of the default branch", push("refs/heads/main", "", "a0"), "api", "web")
	// a0 -> a1 was lost, or is late: what it changed is built now.
	check("a gap", push("refs/heads/main", "a1", "a2"), "api", "web")
	check("documentation", push("refs/heads/main", "a2", "a3"), "-api", "-web")
	check("a new branch", push("refs/heads/feature", "", "71"), "web", "-api")
	check("a pull request", l.pulled(ctx, 7, "71"), "web", "-api")
	check("by hand", l.comment(ctx, 7, "ada", "/build"), "api", "web")
	check("a merge queue's group", l.decide(ctx, builder.Event{ID: "git:group", Kind: builder.MergeQueued,
		Ref: "refs/heads/gh-readonly-queue/main/pr-7-" + hash("a1"), Before: hash("a1"), Commit: hash("a2")}), "web", "-api")
	check("a commit that is gone", push("refs/heads/old", "dead", "a2"), "api", "web")
}

// What could not be decided was not built: the next push does not count on it.
func TestWhatChangedSinceAFailure(t *testing.T) {
	l := newTown(t)
	ctx := t.Context()
	l.tree("b0", "", map[string]string{"api/a": "1"})
	l.tree("b1", "b0", map[string]string{"api/a": "2"})
	l.tree("b2", "b1", map[string]string{"api/a": "2", "doc": "1"})
	l.push(ctx, "refs/heads/other", "", hash("b0"))
	l.refs["refs/heads/main"] = hash("gone")
	if d := l.push(ctx, "refs/heads/other", hash("b0"), hash("b1")); d.Failure == nil {
		t.Fatalf("%+v; want the default branch's file to be missed", d)
	}
	l.refs["refs/heads/main"] = hash("a0")
	if d := l.push(ctx, "refs/heads/other", hash("b1"), hash("b2")); len(d.Builds) != 2 {
		t.Errorf("%+v; want both images", d)
	}
}
