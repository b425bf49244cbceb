package plaingit_test

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/builder/trigger/gitops"
	"github.com/registry-build/registry-build/config"
)

// lent is the git remote as it lends gitops triggers the right to write.
type lent struct{ *server }

func (l lent) Remote(ctx context.Context, repo builder.Repository) (gitops.Remote, error) {
	url, options, err := l.Writable(ctx, repo)
	login := base64.StdEncoding.EncodeToString([]byte("x:writer"))
	return gitops.Remote{URL: url, Header: "Authorization: Basic " + login, PushOptions: options}, err
}

// A commit of a trigger is a push like any other: an event, and what people
// fetch. It does not wait for the builds that it starts, which nobody runs here.
func TestWritable(t *testing.T) {
	s := start(t)
	w := newWork(t)
	w.commit("deploy.yaml", "image: old:1\n")
	w.git("push", "-o", "registry-build.detach", s.remote("acme", "acme/deploy"), "main")
	kind, err := gitops.New(gitops.Options{
		Dir: t.TempDir(), Forges: map[string]gitops.Forge{plaingitInstance: lent{s}},
		Policy: []config.Policy{{Repositories: []string{"acme/*"}, Manifests: []string{"git:acme/deploy"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	before := len(s.store.accepted())
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	a, err := kind.Fire(ctx, trigger.Firing{
		Trigger: config.Trigger{Name: "prod", GitOps: &config.GitOps{Repository: "acme/deploy", File: "deploy.yaml", Path: "image"}},
		Tags:    []string{"v1"},
		Record: builder.Record{
			Build: builder.Build{ID: "1", Repository: builder.Repository{Forge: "git", ID: "acme/shop", Owner: "acme", Name: "shop"},
				Names: []string{"acme/shop"}, Destination: "registry.example.com/acme/shop", Lane: builder.TrustedLane},
			Result: builder.Result{Digest: "sha256:" + strings.Repeat("1", 64)},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	events := s.store.accepted()
	if len(events) != before+1 {
		t.Fatalf("%d events, want one more than %d", len(events), before)
	}
	if e := events[before]; e.Ref != "refs/heads/main" || e.Kind != builder.BranchPushed || !strings.Contains(a.Text, e.Commit[:7]) {
		t.Errorf("event %+v of %q", e, a.Text)
	}
	if _, _, err := s.Writable(t.Context(), builder.Repository{ID: "acme/none"}); !errors.Is(err, builder.ErrNotFound) {
		t.Errorf("a repository that is not there: %v", err)
	}
}

const plaingitInstance = "git"
