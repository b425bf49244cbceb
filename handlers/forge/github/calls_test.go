package github

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

// numbers in addresses, commits among them.
var numbers = regexp.MustCompile(`/([0-9a-f]{40}|[0-9]+)\b`)

// TestCallsHaveTheLeastPermissions lists every call that is made with an
// installation's token, and what else the token would have been good for. A
// new call, or one with more than it needs, has to be written down here.
func TestCallsHaveTheLeastPermissions(t *testing.T) {
	rig := newThreadRig(t)
	rig.Config.Deployments = true
	ctx, repo := t.Context(), rig.record()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := rig.repo.Push(githubtest.Push{Branch: "gitops", Files: map[string]string{"x": "y"}})
	must(err)
	for _, state := range []builder.State{builder.Queued, builder.Running, builder.Succeeded} {
		rig.tell(rig.build(state, nil))
	}
	rig.tell(rig.all(builder.StatusSuccess, "pushed", builder.Decision{}))
	must(rig.Show(ctx, rig.thread(whyRemark)))
	must(rig.Show(ctx, rig.thread(whyRemark, builder.Remark{Topic: "x", Text: "more", Seq: 2})))
	must(rig.Show(ctx, builder.Thread{Repository: repo, Commit: rig.commit, Remarks: []builder.Remark{whyRemark}}))
	written, err := rig.repo.Comment(rig.pull, "ada", "/status")
	must(err)
	must(rig.React(ctx, repo, builder.Command{Pull: rig.pull, Comment: fmt.Sprint(written.ID)}, false))
	must(rig.Deploy(ctx, rig.deployment(builder.DeploymentInProgress)))
	_, err = rig.App.Pull(ctx, repo, rig.pull)
	must(err)
	_, err = rig.Permission(ctx, repo, "ada")
	must(err)
	_, err = rig.Protected(ctx, repo, "refs/heads/main")
	must(err)
	_, err = rig.Find(ctx, "acme/shop")
	must(err)
	_, err = rig.OpenPulls(ctx, repo)
	must(err)
	_, err = rig.Comments(ctx, repo, time.Now().Add(-time.Hour))
	must(err)
	rig.Config.GitOps = true
	for _, title := range []string{"one", "two"} {
		_, err = rig.OpenPull(ctx, repo, "gitops", "main", title, "")
		must(err)
	}

	calls := map[string]string{}
	for _, r := range rig.gh.Requests("") {
		if r.Token != "installation" {
			continue
		}
		delete(r.Permissions, "metadata") // every token has it
		var may []string
		for _, name := range slices.Sorted(maps.Keys(r.Permissions)) {
			may = append(may, name+" "+r.Permissions[name])
		}
		call := r.Method + " " + numbers.ReplaceAllString(r.Path, "/N")
		got := strings.Join(may, ", ")
		switch before, known := calls[call]; {
		case !known:
			calls[call] = got
		case !slices.Contains(strings.Split(before, " or "), got):
			calls[call] += " or " + got
		}
		if len(r.Repositories) != 1 || r.Repositories[0] != rig.repo.ID() {
			t.Errorf("%s: the token is good for repositories %v", call, r.Repositories)
		}
	}
	want := map[string]string{
		"GET /repos/acme/shop/branches/main":                "contents read",
		"GET /repos/acme/shop/collaborators/ada/permission": "",
		"GET /repos/acme/shop/pulls":                        "pull_requests read or pull_requests write",
		"GET /repos/acme/shop/pulls/N":                      "pull_requests read",
		"GET /repos/acme/shop/comments":                     "pull_requests read",
		"GET /repos/acme/shop/issues/comments":              "pull_requests read",
		"GET /repositories/N":                               " or contents read or pull_requests read",
		"PATCH /repos/acme/shop/check-runs/N":               "checks write",
		"PATCH /repos/acme/shop/issues/comments/N":          "pull_requests write",
		"POST /repos/acme/shop/check-runs":                  "checks write",
		"POST /repos/acme/shop/commits/N/comments":          "contents read",
		"POST /repos/acme/shop/deployments":                 "deployments write",
		"POST /repos/acme/shop/deployments/N/statuses":      "deployments write",
		"POST /repos/acme/shop/issues/N/comments":           "pull_requests write",
		"POST /repos/acme/shop/issues/comments/N/reactions": "issues write, pull_requests write",
		"PATCH /repos/acme/shop/pulls/N":                    "pull_requests write",
		"POST /repos/acme/shop/pulls":                       "pull_requests write",
		"POST /repos/acme/shop/statuses/N":                  "statuses write",
	}
	if diff := cmp.Diff(want, calls); diff != "" {
		t.Errorf("calls and what their tokens may (-want +got):\n%s", diff)
	}
}
