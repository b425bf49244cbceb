package gitops

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/registry-build/registry-build/config"
)

// propose is deploy by pull request.
func propose(path string) config.GitOps {
	g := deploy(path)
	g.PullRequest = true
	return g
}

func (r *remote) shownPulls() []PullRequest {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]PullRequest(nil), r.pulls...)
}

// merge moves main to what a branch proposes, by a merge commit or as one new
// commit with the message.
func (r *remote) merge(name, branch string, squash bool) string {
	r.t.Helper()
	dir := filepath.Join(r.dir, name+".git")
	main, head := r.head(name, "main"), r.head(name, branch)
	tree := r.git("", "-C", dir, "merge-tree", "--write-tree", main, head)
	args := []string{"-C", dir, "commit-tree", tree, "-p", main}
	message := "Merge pull request #1\n"
	if squash {
		message = r.git("", "-C", dir, "log", "-1", "--format=%B", head)
	} else {
		args = append(args, "-p", head)
	}
	commit := r.git(message, args...)
	r.git("", "-C", dir, "update-ref", "refs/heads/main", commit)
	return commit
}

func TestPullRequest(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	r.repository("acme/deploy", map[string]string{"apps/deploy.yaml": "a: x # a\nb: y # b\n"})
	k := r.kind()
	branch := pullBranch("acme/shop", "apps/deploy.yaml")
	main := r.head("acme/deploy", "main")

	a := mustFire(t, k, firing(1, propose("a")))
	if want := r.server.URL + "/acme/deploy/pull/1"; a.URL != want || !strings.Contains(a.Text, want) {
		t.Errorf("answer %+v, want %s", a, want)
	}
	if r.head("acme/deploy", "main") != main {
		t.Error("main has moved")
	}
	// Another field joins the same pull request; a newer image takes the place.
	mustFire(t, k, firing(2, propose("b")))
	r.push("acme/deploy", "main", map[string]string{"apps/deploy.yaml": "# moved\na: x # a\nb: y # b\n"})
	mustFire(t, k, firing(3, propose("a")))
	head := r.head("acme/deploy", branch)
	if got, want := r.file("acme/deploy", branch, "apps/deploy.yaml"), "# moved\na: "+ref(3)+" # a\nb: "+ref(2)+" # b"; got != want {
		t.Errorf("proposed %q, want %q", got, want)
	}
	dir := filepath.Join(r.dir, "acme/deploy.git")
	if got := r.git("", "-C", dir, "rev-list", "main.."+branch); got != head {
		t.Errorf("commits beside main: %q", got)
	}
	pulls := r.shownPulls()
	if len(pulls) != 1 || pulls[0].Title != "acme/shop: v1.0.3 and 1 more" || pulls[0].Base != "main" || pulls[0].Head != branch ||
		!strings.Contains(pulls[0].Body, ref(2)) || !strings.Contains(pulls[0].Body, ref(3)) || strings.Contains(pulls[0].Body, trailer) {
		t.Errorf("pull requests %+v", pulls)
	}
	// The same again, and an older one, push nothing.
	if a := mustFire(t, k, firing(3, propose("a"))); a.URL == "" || a.Skipped {
		t.Errorf("again: %+v", a)
	}
	if a := mustFire(t, r.kind(), firing(1, propose("a"))); !a.Skipped {
		t.Errorf("an older build: %+v", a)
	}
	if r.head("acme/deploy", branch) != head {
		t.Error("the branch moved for nothing")
	}
	for i, name := range []string{"merge", "squash"} {
		t.Run(name, func(t *testing.T) {
			r.t = t
			r.merge("acme/deploy", branch, name == "squash")
			// What was merged is not proposed again, even where somebody took it back.
			r.push("acme/deploy", "main", map[string]string{"apps/deploy.yaml": "a: back\nb: back\n"})
			n := 4 + i // newer than what was merged
			mustFire(t, r.kind(), firing(n, propose("a")))
			if got, want := r.file("acme/deploy", branch, "apps/deploy.yaml"), "a: "+ref(n)+"\nb: back"; got != want {
				t.Errorf("proposed %q, want %q", got, want)
			}
		})
	}
}

// What somebody else pushed to the branch stays, and a proposal that came to
// nothing is withdrawn.
func TestPullRequestOfSomebodyElse(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	r.repository("acme/deploy", map[string]string{"apps/deploy.yaml": "a: " + ref(7) + "\n"})
	k := r.kind()
	branch := pullBranch("acme/shop", "apps/deploy.yaml")
	mustFire(t, k, firing(1, propose("a")))
	dir := filepath.Join(r.dir, "acme/deploy.git")
	mustFire(t, k, firing(7, propose("a"))) // which is what main has
	if _, err := r.tryGit("", "-C", dir, "rev-parse", "--verify", "--quiet", "refs/heads/"+branch); err == nil {
		t.Error("the proposal was not withdrawn")
	}
	mustFire(t, k, firing(8, propose("a")))
	theirs := r.push("acme/deploy", branch, map[string]string{"x": "y"})
	_, err := k.Fire(t.Context(), firing(9, propose("a")))
	if err == nil || !strings.Contains(err.Error(), "commits of somebody else") || r.head("acme/deploy", branch) != theirs {
		t.Errorf("error %v", err)
	}
}
