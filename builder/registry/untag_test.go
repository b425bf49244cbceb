package registry_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/registry"
)

// atPull is a position on a pull request.
func atPull(number int, commit string, seq int64) builder.Position {
	p := at(commit, seq)
	p.Ref = builder.PullRef(number)
	return p
}

// untagRequest asks for tags of pull request 12 to go.
func untagRequest(repo string, tags ...string) builder.UntagRequest {
	return builder.UntagRequest{Repository: repo, Tags: tags, Login: login(repo), Source: "git:acme/hello", Ref: builder.PullRef(12)}
}

// isThere reports whether the registry has the digest.
func isThere(t *testing.T, repo, digest string) bool {
	t.Helper()
	ref, err := name.NewDigest(repo + "@" + digest)
	if err != nil {
		t.Fatal(err)
	}
	_, err = remote.Head(ref, auth)
	return err == nil
}

func TestUntag(t *testing.T) {
	for kind, open := range kinds {
		t.Run(kind, func(t *testing.T) {
			repo := serve(t, open(t))
			l := newLedger()
			c := registry.New(registry.Options{Ledger: l})
			image, alone := pushImage(t, repo), pushImage(t, repo)
			elsewhere := atPull(12, "a", 1)
			elsewhere.Repository = "git:acme/other"
			for _, put := range []builder.TagRequest{
				request(repo, image, atPull(12, "a", 1), "pr-12", "pr-12-a"),
				request(repo, image, at("a", 2), "main"),
				request(repo, image, atPull(13, "a", 3), "pr-13"),
				request(repo, image, elsewhere, "theirs"),
				request(repo, alone, atPull(12, "b", 4), "pr-12-b", "gone"),
			} {
				if _, err := c.Put(t.Context(), put); err != nil {
					t.Fatal(err)
				}
			}
			r, err := name.NewRepository(repo)
			if err != nil {
				t.Fatal(err)
			}
			if err := remote.Delete(r.Tag("gone"), auth); err != nil {
				t.Fatal(err)
			}
			if err := remote.Tag(r.Tag("by-hand"), mustGet(t, r.Digest(image)), auth); err != nil {
				t.Fatal(err)
			}

			got, err := c.Untag(t.Context(), untagRequest(repo, "pr-12", "main", "pr-12-b", "pr-13", "theirs", "gone", "never", "by-hand", "pr-12", "pr-12-a"))
			if err != nil {
				t.Fatal(err)
			}
			want := []builder.UntagOutcome{
				{Tag: "pr-12", Removed: true},
				{Tag: "main", Reason: "another ref has taken it since: refs/heads/main"},
				{Tag: "pr-12-b", Removed: true},
				{Tag: "pr-13", Reason: "another ref has taken it since: refs/pull/13/head"},
				{Tag: "theirs", Reason: "another repository has taken it since"},
				{Tag: "gone", Removed: true},
				{Tag: "never", Removed: true},
				{Tag: "by-hand", Reason: "it is not known who put it"},
				{Tag: "pr-12", Removed: true},
				{Tag: "pr-12-a", Removed: true},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[string]string{"main": image, "pr-13": image, "theirs": image, "by-hand": image}, tagsOf(t, repo)); diff != "" {
				t.Errorf("tags (-want +got):\n%s", diff)
			}
			if !isThere(t, repo, image) || !isThere(t, repo, alone) {
				t.Error("a digest was deleted")
			}
			if diff := cmp.Diff(map[string]string{"main": "a", "pr-13": "a", "theirs": "a"}, l.commits(repo)); diff != "" {
				t.Errorf("positions (-want +got):\n%s", diff)
			}
			// Again: all of it is as it was.
			again, err := c.Untag(t.Context(), untagRequest(repo, "pr-12", "main"))
			if diff := cmp.Diff(want[:2], again); diff != "" || err != nil {
				t.Errorf("again: %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func mustGet(t *testing.T, ref name.Reference) *remote.Descriptor {
	t.Helper()
	d, err := remote.Get(ref, auth)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// onDelete answers a DELETE in the registry's place.
func onDelete(answer func(w http.ResponseWriter, r *http.Request)) interceptor {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Method != http.MethodDelete {
			return false
		}
		answer(w, r)
		return true
	}
}

func refuseDelete(status int, code string) interceptor {
	return onDelete(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"errors":[{"code":%q,"message":"no"}]}`, code)
	})
}

// TestUntagRefused: registries that cannot delete tags, or do not let us. The
// tag stays, its position too, and nothing is ever deleted by digest.
func TestUntagRefused(t *testing.T) {
	const byDigest = "the registry HOST removes images by digest only, with all their other tags"
	for _, tt := range []struct {
		name      string
		intercept interceptor
		want      string // reason, or with "error: " before it
	}{
		{"by digest only, as distribution 2 answers", refuseDelete(405, "UNSUPPORTED"), byDigest},
		{"by digest only, as Debian's docker-registry answers", refuseDelete(400, "DIGEST_INVALID"), byDigest},
		{"by digest only, as other registries answer", refuseDelete(400, "UNSUPPORTED"), byDigest},
		{"not implemented", refuseDelete(501, "UNSUPPORTED"), byDigest},
		{"not with this login, as Docker Hub answers", refuseDelete(401, "UNAUTHORIZED"), "the login for the registry HOST may not remove tags"},
		{"not with this login", refuseDelete(403, "DENIED"), "the login for the registry HOST may not remove tags"},
		{"a tag that must not change", refuseDelete(409, "CONFLICT"), "the registry HOST refuses to remove it (no)"},
		{"it says that there is none, and there is", refuseDelete(404, "MANIFEST_UNKNOWN"), "the registry HOST does not remove tags"},
		{"it says yes and does nothing", onDelete(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(202) }), "the registry HOST does not remove tags"},
		{"it is not well", refuseDelete(500, "UNKNOWN"), "error: the registry HOST is not well (status 500) and could not untag acme/hello (no): try again later"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &front{Handler: distribution(t, false)}
			repo := serve(t, f)
			l := newLedger()
			c := registry.New(registry.Options{Ledger: l})
			image := pushImage(t, repo)
			if _, err := c.Put(t.Context(), request(repo, image, atPull(12, "a", 1), "pr-12")); err != nil {
				t.Fatal(err)
			}
			f.on(func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
				if r.Method == http.MethodDelete && !strings.HasSuffix(r.URL.Path, "/manifests/pr-12") {
					t.Errorf("DELETE %s", r.URL.Path)
				}
				return tt.intercept(w, r, next)
			})
			outcomes, err := c.Untag(t.Context(), untagRequest(repo, "pr-12"))
			got := ""
			if err != nil {
				got = "error: " + sentence(t, err, repo)
			} else if len(outcomes) == 1 && !outcomes[0].Removed {
				host, _, _ := strings.Cut(repo, "/")
				got = strings.ReplaceAll(outcomes[0].Reason, host, "HOST")
			}
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if diff := cmp.Diff(map[string]string{"pr-12": image}, tagsOf(t, repo)); diff != "" {
				t.Errorf("tags (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[string]string{"pr-12": "a"}, l.commits(repo)); diff != "" {
				t.Errorf("positions (-want +got):\n%s", diff)
			}
		})
	}
}

// TestUntagPutOff: a registry that asks for patience gets it.
func TestUntagPutOff(t *testing.T) {
	f := &front{Handler: distribution(t, true)}
	repo := serve(t, f)
	c := registry.New(registry.Options{Ledger: newLedger()})
	image := pushImage(t, repo)
	if _, err := c.Put(t.Context(), request(repo, image, atPull(12, "a", 1), "pr-12")); err != nil {
		t.Fatal(err)
	}
	asked := 0
	f.on(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Method == http.MethodDelete {
			asked++
		}
		if r.Method != http.MethodDelete || asked > 1 {
			return false
		}
		w.WriteHeader(503)
		return true
	})
	got, err := c.Untag(t.Context(), untagRequest(repo, "pr-12"))
	if diff := cmp.Diff([]builder.UntagOutcome{{Tag: "pr-12", Removed: true}}, got); diff != "" || err != nil || asked != 2 {
		t.Errorf("%v after %d requests (-want +got):\n%s", err, asked, diff)
	}
}

// TestUntagFenced: who has lost the lease deletes nothing.
func TestUntagFenced(t *testing.T) {
	f := &front{Handler: distribution(t, false)}
	repo := serve(t, f)
	l := newLedger()
	c := registry.New(registry.Options{Ledger: l})
	image := pushImage(t, repo)
	if _, err := c.Put(t.Context(), request(repo, image, atPull(12, "a", 1), "pr-12")); err != nil {
		t.Fatal(err)
	}
	f.on(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Method == http.MethodHead {
			l.takeOver(repo) // while it looks at the tags
		}
		return false
	})
	if got, err := c.Untag(t.Context(), untagRequest(repo, "pr-12")); !errors.Is(err, builder.ErrLeaseLost) {
		t.Errorf("%v, %v, want ErrLeaseLost", got, err)
	}
	f.on(nil)
	if diff := cmp.Diff(map[string]string{"pr-12": image}, tagsOf(t, repo)); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
}

func TestUntagBadNames(t *testing.T) {
	c := registry.New(registry.Options{Ledger: newLedger()})
	for name, r := range map[string]builder.UntagRequest{
		"repository": untagRequest("Acme Hello", "x"),
		"a digest":   untagRequest("127.0.0.1:1/acme/hello", "sha256:"+strings.Repeat("a", 64)),
		"a path":     untagRequest("127.0.0.1:1/acme/hello", "../../other/manifests/latest"),
	} {
		var failure *builder.Failure
		if _, err := c.Untag(t.Context(), r); !errors.As(err, &failure) || failure.Stage != builder.StageTag {
			t.Errorf("%s: %v, want a failure of the tag", name, err)
		}
	}
	if got, err := c.Untag(t.Context(), untagRequest("127.0.0.1:1/acme/hello")); err != nil || len(got) != 0 {
		t.Errorf("no tags: %v, %v", got, err)
	}
}
