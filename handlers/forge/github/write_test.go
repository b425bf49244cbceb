package github

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

// newWriteRig is a reportRig whose app may write, on both sides.
func newWriteRig(t *testing.T) *reportRig {
	rig := newReportRig(t)
	rig.Config.GitOps = true
	granted := githubtest.DefaultPermissions()
	granted["contents"] = "write"
	rig.inst.SetPermissions(granted)
	return rig
}

func TestWritable(t *testing.T) {
	rig := newWriteRig(t)
	origin, err := rig.Writable(t.Context(), rig.record())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("git", "push", "--quiet", origin.URL, rig.commit+":refs/heads/ours")
	cmd.Dir = rig.repo.Dir()
	cmd.Env = append(os.Environ(), "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http.extraHeader", "GIT_CONFIG_VALUE_0="+origin.Header)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("push: %v: %s", err, out)
	}
	if rig.repo.Head("ours") != rig.commit {
		t.Error("the push did not arrive")
	}
	for _, r := range rig.gh.Requests("") {
		if strings.HasSuffix(r.Path, "git-receive-pack") {
			delete(r.Permissions, "metadata")
			if diff := cmp.Diff(map[string]string{"contents": "write"}, r.Permissions); diff != "" || len(r.Repositories) != 1 {
				t.Errorf("the token is good for %v in %v", r.Permissions, r.Repositories)
			}
		}
	}
}

func TestWritableOnlyWhereItIsWanted(t *testing.T) {
	tests := map[string]struct {
		change func(*reportRig)
		says   string
	}{
		"off":         {func(r *reportRig) { r.Config.GitOps = false }, "forges.github.gitops"},
		"not granted": {func(r *reportRig) { r.inst.SetPermissions(githubtest.DefaultPermissions()) }, "contents: write"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			rig := newWriteRig(t)
			test.change(rig)
			_, err := rig.Writable(t.Context(), rig.record())
			if !errors.Is(err, builder.ErrDenied) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want builder.ErrDenied that says %q", err, test.says)
			}
		})
	}
}

func TestOpenPull(t *testing.T) {
	rig := newWriteRig(t)
	if _, err := rig.repo.Push(githubtest.Push{Branch: "registry-build/x", Files: map[string]string{"x.yaml": "1"}}); err != nil {
		t.Fatal(err)
	}
	open := func(title, body string) string {
		t.Helper()
		url, err := rig.OpenPull(t.Context(), rig.record(), "registry-build/x", "main", title, body)
		if err != nil {
			t.Fatal(err)
		}
		return url
	}
	first := open("acme/shop: v1", "one")
	if first != rig.gh.URL+"/acme/shop/pull/1" {
		t.Errorf("address %q", first)
	}
	writes := func() int {
		return len(rig.gh.Requests("POST /repos/*/*/pulls")) + len(rig.gh.Requests("PATCH /repos/*/*/pulls/*"))
	}
	before := writes()
	if again := open("acme/shop: v1", "one"); again != first || writes() != before {
		t.Errorf("the same again: %q, %d writes", again, writes()-before)
	}
	if again := open("acme/shop: v2", "two"); again != first {
		t.Errorf("updated: %q", again)
	}
	want := []githubtest.Shown{{Number: 1, Title: "acme/shop: v2", Body: "two", Head: "registry-build/x", Base: "main", By: rig.app.Slug + "[bot]", Open: true}}
	if diff := cmp.Diff(want, rig.repo.Pulls()); diff != "" {
		t.Errorf("pull requests (-want +got):\n%s", diff)
	}
	// One that was closed is not opened again: there is a new one.
	if err := rig.repo.ClosePull(1, "octocat", false); err != nil {
		t.Fatal(err)
	}
	rig.gh.FailNext("POST /repos/acme/shop/pulls", 1, githubtest.LostAnswer())
	if url := open("acme/shop: v3", "three"); url != rig.gh.URL+"/acme/shop/pull/2" {
		t.Errorf("after it was closed, and an answer was lost: %q", url)
	}
	if n := len(rig.repo.Pulls()); n != 2 {
		t.Errorf("%d pull requests, want 2", n)
	}
	_, err := rig.OpenPull(t.Context(), rig.record(), "nowhere", "main", "x", "y")
	if !errors.Is(err, builder.ErrDenied) {
		t.Errorf("a branch that is not there: %v", err)
	}
}
