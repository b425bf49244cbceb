package gitlabtest_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"strings"
	"testing"

	gitlab "gitlab.com/gitlab-org/api/client-go"

	"github.com/registry-build/registry-build/handlers/forge/gitlab/gitlabtest"
)

// TestTLS serves HTTPS below a path, which only who knows the authority trusts.
func TestTLS(t *testing.T) {
	s := gitlabtest.New(t, func(o *gitlabtest.Options) { o.TLS, o.RelativeURL = true, "/gitlab/" })
	if !strings.HasPrefix(s.URL, "https://127.0.0.1:") || !strings.HasSuffix(s.URL, "/gitlab") {
		t.Error(s.URL)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(s.CA) {
		t.Fatalf("no certificate in %q", s.CA)
	}
	trusting := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	client := must(gitlab.NewClient(s.AddUser("alice"), gitlab.WithBaseURL(s.URL), gitlab.WithHTTPClient(trusting), gitlab.WithoutRetries()))(t)
	version, _, err := client.Version.GetVersion()
	if err != nil || version.Version != "18.5.0-ee" {
		t.Errorf("%+v %v", version, err)
	}
	if _, err := http.Get(s.URL); err == nil {
		t.Error("who does not know the authority trusts it")
	}
}

// TestOldServer lacks what came later, which is no violation.
func TestOldServer(t *testing.T) {
	w := newWorld(t, func(o *gitlabtest.Options) {
		o.Version, o.Without = "15.4.6-ee", []string{"GET /personal_access_tokens/self"}
	})
	if _, res, _ := w.as(t, w.AddUser("alice")).PersonalAccessTokens.GetSinglePersonalAccessToken(); status(res) != 404 {
		t.Errorf("answers %d", status(res))
	}
	if _, _, err := w.as(t, w.AddUser("alice")).Users.CurrentUser(); err != nil {
		t.Error(err)
	}
}

// TestForkRemoved leaves merge requests without a source.
func TestForkRemoved(t *testing.T) {
	w := newWorld(t)
	w.project.AddHook(gitlabtest.HookOptions{URL: w.hooks.URL})
	fork := must(w.project.Fork("mallory"))(t)
	must(fork.Push(gitlabtest.Push{User: "mallory", Branch: "topic", Files: map[string]string{"x": "x"}}))(t)
	merge := must(w.project.OpenMerge(gitlabtest.MergeOptions{User: "mallory", From: fork, Source: "topic"}))(t)
	fork.Remove()
	w.settle(t)
	if events, _ := w.hooks.take(); len(events) != 2 {
		t.Errorf("%q", events)
	}
	got, _, err := w.as(t, w.AddUser("alice")).MergeRequests.GetMergeRequest(w.project.ID(), int64(merge.IID()), nil)
	if err != nil || got.State != "closed" || got.SourceProjectID != 0 {
		t.Errorf("%+v %v", got, err)
	}
}

// TestWebPages leads people from an old path, and strangers to the sign-in.
func TestWebPages(t *testing.T) {
	w := newWorld(t)
	public := must(w.AddProject("acme/public", gitlabtest.ProjectOptions{Visibility: "public"}))(t)
	must(0, public.Rename("open"))(t)
	direct := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, test := range []struct {
		path, location string
		status         int
	}{
		{"/acme/open", "", 200},
		{"/acme/public/-/merge_requests/1", "/acme/open/-/merge_requests/1", 301},
		{"/acme/platform/shop", "/users/sign_in", 302},
		{"/nobody/nothing", "/users/sign_in", 302},
	} {
		t.Run(test.path, func(t *testing.T) {
			res := must(direct.Get(w.URL + test.path))(t)
			_ = res.Body.Close()
			if got := strings.TrimPrefix(res.Header.Get("Location"), w.URL); res.StatusCode != test.status || got != test.location {
				t.Errorf("%d to %q", res.StatusCode, got)
			}
		})
	}
}
