package gitops

import (
	"testing"

	"github.com/registry-build/registry-build/builder/trigger"
)

// own is a build of a commit of acme/shop that writes to acme/shop.
func own(n int, commit, path string) trigger.Firing {
	g := deploy(path)
	g.Repository = "acme/shop"
	f := firing(n, g)
	f.Record.Commit = commit
	return f
}

// A repository that holds its own manifests: each push makes a build, whose
// commit is a push. The circle ends, and no image is left out.
func TestOwnRepositoryEnds(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	r.repository("acme/shop", map[string]string{"apps/deploy.yaml": "api: x\nweb: y\n", "main.go": "1"})
	k := r.kind()
	head := func() string { return r.head("acme/shop", "main") }
	n := 0
	fire := func(what, commit, path string, skipped bool) {
		t.Helper()
		n++
		before := head()
		a := mustFire(t, k, own(n, commit, path))
		if a.Skipped != skipped || (head() == before) != skipped {
			t.Errorf("%s: skipped %t, want %t: %s", what, a.Skipped, skipped, a.Text)
		}
	}
	p0 := head()
	fire("api of the code", p0, "api", false)
	c1 := head()
	fire("api of our commit on it", c1, "api", true)
	fire("web of our commit: that of the code was superseded", c1, "web", false)
	c2 := head()
	fire("api of the second commit", c2, "api", true)
	fire("web of the second commit", c2, "web", true)

	// Somebody pushes while api is built: our commit is on theirs, and its
	// build is the first that has both.
	p1 := r.push("acme/shop", "main", map[string]string{"main.go": "2"})
	p2 := r.push("acme/shop", "main", map[string]string{"main.go": "3"})
	fire("api of the first push", p1, "api", false)
	c3 := head()
	fire("api of our commit on the second push", c3, "api", false)
	c4 := head()
	fire("api of our commit on our commit", c4, "api", true)
	if a := mustFire(t, k, own(n-2, p2, "api")); !a.Skipped { // accepted before the build of c3
		t.Errorf("api of the second push, late: %+v", a)
	}

	// A commit with our words that changes more is somebody's.
	forged := r.pushAs("acme/shop", "main", map[string]string{"main.go": "4"}, "squashed\n\n"+settingLine(t, k, own(n, c4, "api"))+"\n")
	fire("api of a squash with code", forged, "api", false)
}

func settingLine(t *testing.T, k *Kind, f trigger.Firing) string {
	t.Helper()
	r, err := k.request(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return r.setting().line()
}

// A merge of our pull request is ours, too.
func TestOwnRepositoryMerged(t *testing.T) {
	t.Parallel()
	for name, squash := range map[string]bool{"merge": false, "squash": true} {
		t.Run(name, func(t *testing.T) {
			r := newRemote(t)
			r.repository("acme/shop", map[string]string{"apps/deploy.yaml": "api: x\n"})
			k := r.kind()
			f := own(1, r.head("acme/shop", "main"), "api")
			f.Trigger.GitOps.PullRequest = true
			mustFire(t, k, f)
			branch := pullBranch("acme/shop", "apps/deploy.yaml")
			proposed := own(2, r.head("acme/shop", branch), "api")
			proposed.Trigger.GitOps.PullRequest = true
			if a := mustFire(t, k, proposed); !a.Skipped {
				t.Errorf("the build of what was proposed: %+v", a)
			}
			merged := own(3, r.merge("acme/shop", branch, squash), "api")
			merged.Trigger.GitOps.PullRequest = true
			if a := mustFire(t, k, merged); !a.Skipped {
				t.Errorf("the build of the merge: %+v", a)
			}
		})
	}
}
