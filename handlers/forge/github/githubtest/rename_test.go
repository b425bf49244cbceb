package githubtest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"

	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

// TestRename keeps the number, redirects from the old name, and stops doing so
// when somebody else takes it.
func TestRename(t *testing.T) {
	w := newWorld(t)
	inst := w.asInstallation(t, nil)
	id, head := w.repo.ID(), w.repo.Head("")
	if err := w.repo.Rename("store"); err != nil {
		t.Fatal(err)
	}
	get := func(owner, name string) int64 {
		t.Helper()
		r, _, err := inst.Repositories.Get(w.ctx, owner, name)
		if err != nil {
			return 0
		}
		return r.GetID()
	}
	if got := []int64{get("acme", "shop"), get("acme", "store")}; !cmp.Equal(got, []int64{id, id}) {
		t.Errorf("both names: %v", got)
	}
	var hops []string
	for _, r := range w.Requests("GET /repos/acme/shop") {
		hops = append(hops, http.StatusText(r.Status))
	}
	if diff := cmp.Diff([]string{"Moved Permanently"}, hops); diff != "" {
		t.Error(diff)
	}
	refs, _, err := inst.Git.ListMatchingRefs(w.ctx, "acme", "shop", &github.ReferenceListOptions{Ref: "heads/"})
	if err != nil || len(refs) != 1 || refs[0].Object.GetSHA() != head {
		t.Errorf("refs by the old name: %v, %v", refs, err)
	}
	if _, _, err := inst.Repositories.CreateStatus(w.ctx, "acme", "shop", head, &github.RepoStatus{State: github.String("success")}); err != nil || len(w.repo.Statuses(head)) != 1 {
		t.Errorf("a status by the old name: %v", err)
	}
	old := strings.Replace(w.repo.PushURL("alice"), "/store.git", "/shop.git", 1)
	w.repo.SetCollaborator("alice", "read")
	if got := git(t, t.TempDir(), "ls-remote", old, "refs/heads/main"); !strings.Contains(got, head) {
		t.Errorf("git by the old name: %q", got)
	}
	taken := must(w.AddRepo("acme/shop", githubtest.RepoOptions{Private: true}))(t)
	if got := get("acme", "shop"); got != taken.ID() {
		t.Errorf("the old name is %d, not the newcomer %d", got, taken.ID())
	}
	if _, err := w.AddRepo("Acme/Store", githubtest.RepoOptions{}); err == nil {
		t.Error("a name was given twice")
	}
}

func TestTransfer(t *testing.T) {
	w := newWorld(t)
	id := w.repo.ID()
	if err := w.repo.Transfer("newco"); err != nil {
		t.Fatal(err)
	}
	if got := w.repo.FullName(); got != "newco/shop" || w.repo.ID() != id {
		t.Errorf("%s %d", got, w.repo.ID())
	}
	inst := w.asInstallation(t, nil)
	if _, res, _ := inst.Repositories.Get(w.ctx, "newco", "shop"); res == nil || res.StatusCode != http.StatusNotFound {
		t.Errorf("acme's installation reaches newco's repository: %v", res)
	}
	w.inst = must(w.app.Install("newco", "newco/shop"))(t)
	inst = w.asInstallation(t, nil)
	r, _, err := inst.Repositories.Get(w.ctx, "acme", "shop")
	if err != nil || r.GetID() != id || r.GetFullName() != "newco/shop" {
		t.Errorf("by the old name: %v, %v", r, err)
	}
}
