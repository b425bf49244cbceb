package github

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

const deploymentPosts = "POST /repos/acme/shop/deployments"

func (r *reportRig) deployment(state builder.DeploymentState) builder.Deployment {
	return builder.Deployment{Repository: r.record(), BuildID: "01JZK8Q3M5V7W9XA", Trigger: "prod", Environment: "production",
		Commit: r.commit, State: state, Description: "trigger prod of api"}
}

func TestDeploy(t *testing.T) {
	cases := map[string]struct {
		change func(*reportRig)
		fails  int // calls that return an error before one that does not
		want   []string
	}{
		"on":            {func(r *reportRig) {}, 0, []string{"in_progress", "success"}},
		"off":           {func(r *reportRig) { r.Config.Deployments = false }, 0, nil},
		"not permitted": {func(r *reportRig) { r.inst.SetPermissions(map[string]string{"metadata": "read"}) }, 0, nil},
		"answer lost":   {func(r *reportRig) { r.gh.FailNext(deploymentPosts, 1, githubtest.LostAnswer()) }, 1, []string{"in_progress", "success"}},
		"never arrived": {func(r *reportRig) { r.gh.FailNext(deploymentPosts, 1, githubtest.Dropped()) }, 1, []string{"in_progress", "success"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			rig := newReportRig(t)
			rig.Config.Deployments = true
			c.change(rig)
			for _, state := range []builder.DeploymentState{builder.DeploymentInProgress, builder.DeploymentSuccess, builder.DeploymentSuccess, builder.DeploymentInProgress} {
				err := rig.Deploy(context.Background(), rig.deployment(state))
				for ; err != nil && c.fails > 0; c.fails-- {
					err = rig.Deploy(context.Background(), rig.deployment(state))
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			all := rig.repo.Deployments()
			if c.want == nil {
				if len(all) != 0 {
					t.Errorf("%d deployments", len(all))
				}
				return
			}
			if len(all) != 1 {
				t.Fatalf("%d deployments, want 1", len(all))
			}
			var got []string
			for _, s := range all[0].Statuses {
				got = append(got, s.State)
			}
			if diff := cmp.Diff(c.want, got); diff != "" || all[0].SHA != rig.commit || all[0].Environment != "production" {
				t.Errorf("%+v, states (-want +got):\n%s", all[0], diff)
			}
		})
	}
}
