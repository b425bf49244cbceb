package githubtest_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"

	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

// TestDeployments has what surprises: by default every check must be green,
// and a ref that is behind the default branch is merged, not deployed.
func TestDeployments(t *testing.T) {
	w := newWorld(t)
	inst := w.asInstallation(t, nil)
	old := w.repo.Head("")
	head := must(w.repo.Push(githubtest.Push{Files: map[string]string{"x": "x"}}))(t)
	run, _, err := inst.Checks.CreateCheckRun(w.ctx, "acme", "shop", github.CreateCheckRunOptions{Name: "shop", HeadSHA: head})
	if err != nil {
		t.Fatal(err)
	}
	deploy := func(ref string, change func(*github.DeploymentRequest)) (int64, int) {
		t.Helper()
		o := &github.DeploymentRequest{Ref: &ref, Environment: github.String("prod")}
		change(o)
		d, res, err := inst.Repositories.CreateDeployment(w.ctx, "acme", "shop", o)
		if res == nil {
			t.Fatal(err)
		}
		return d.GetID(), res.StatusCode
	}
	none := func(o *github.DeploymentRequest) { o.RequiredContexts = &[]string{} }
	plain := func(*github.DeploymentRequest) {}
	for _, test := range []struct {
		name, ref string
		change    func(*github.DeploymentRequest)
		want      int
	}{
		{"a check is running", head, plain, http.StatusConflict},
		{"no checks asked", head, none, http.StatusCreated},
		{"behind", old, none, http.StatusAccepted},
		{"behind, as it is", old, func(o *github.DeploymentRequest) { none(o); o.AutoMerge = github.Bool(false) }, http.StatusCreated},
		{"no such ref", "nothing", none, http.StatusUnprocessableEntity},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, got := deploy(test.ref, test.change); got != test.want {
				t.Errorf("%d, want %d", got, test.want)
			}
		})
	}
	if _, _, err := inst.Checks.UpdateCheckRun(w.ctx, "acme", "shop", run.GetID(), github.UpdateCheckRunOptions{Name: "shop", Conclusion: github.String("success")}); err != nil {
		t.Fatal(err)
	}
	first, _ := deploy(head, plain)
	second, _ := deploy(head, plain)
	for _, id := range []int64{first, second} {
		if _, _, err := inst.Repositories.CreateDeploymentStatus(w.ctx, "acme", "shop", id, &github.DeploymentStatusRequest{State: github.String("success")}); err != nil {
			t.Fatal(err)
		}
	}
	states := map[int64][]string{}
	for _, d := range w.repo.Deployments() {
		for _, st := range d.Statuses {
			states[d.ID] = append(states[d.ID], st.State)
		}
	}
	if diff := cmp.Diff(map[int64][]string{first: {"success", "inactive"}, second: {"success"}}, states); diff != "" {
		t.Error(diff)
	}
}
