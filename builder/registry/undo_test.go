package registry_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/registry"
)

// refuse answers a request that writes the tag.
func refuse(tag string, status int) interceptor {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if putTag(r) != tag {
			return false
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"errors":[{"code":"DENIED","message":"tag is immutable"}]}`))
		return true
	}
}

func TestAllTagsOrNone(t *testing.T) {
	for kind, open := range kinds {
		t.Run(kind, func(t *testing.T) { testAllTagsOrNone(t, open) })
	}
}

func testAllTagsOrNone(t *testing.T, open func(*testing.T) http.Handler) {
	for name, tc := range map[string]struct {
		intercept interceptor
		tags      []string
		want      string
		stuck     bool // "new" stays on the new digest
	}{
		"one is refused": {refuse("bad", 403), []string{"latest", "new", "bad"},
			"the login for the registry HOST may not tag acme/hello (tag is immutable): grant it that right, or check the name", false},
		"one arrives, and its answer is lost, twice": {
			func(w http.ResponseWriter, r *http.Request, registry http.Handler) bool {
				if putTag(r) != "latest" {
					return false
				}
				registry.ServeHTTP(httptest.NewRecorder(), r)
				w.WriteHeader(500)
				return true
			}, []string{"new", "latest"},
			"the registry HOST is not well (status 500) and could not tag acme/hello: try again later", false},
		"the registry cannot delete": {
			func(w http.ResponseWriter, r *http.Request, registry http.Handler) bool {
				if r.Method == http.MethodDelete {
					w.WriteHeader(405)
					return true
				}
				return refuse("bad", 400)(w, r, registry)
			}, []string{"new", "latest", "bad"},
			"the registry HOST refused to tag acme/hello (status 400) (tag is immutable); could not be put back and may name the new image: new", true},
	} {
		t.Run(name, func(t *testing.T) {
			f := &front{Handler: open(t)}
			repo := serve(t, f)
			l := newLedger()
			c := registry.New(registry.Options{Ledger: l})
			first, second := pushImage(t, repo), pushImage(t, repo)
			if _, err := c.Put(t.Context(), request(repo, first, at("a", 1), "latest")); err != nil {
				t.Fatal(err)
			}
			f.on(tc.intercept)
			_, err := c.Put(t.Context(), request(repo, second, at("b", 2), tc.tags...))
			if got := sentence(t, err, repo); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			tags, positions := map[string]string{"latest": first}, map[string]string{"latest": "a"}
			if tc.stuck {
				tags["new"], positions["new"] = second, "b"
			}
			if diff := cmp.Diff(tags, tagsOf(t, repo)); diff != "" {
				t.Errorf("tags (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(positions, l.commits(repo)); diff != "" {
				t.Errorf("positions (-want +got):\n%s", diff)
			}
		})
	}
}

// A registry that says 201 and does nothing is found out.
func TestReadBack(t *testing.T) {
	f := &front{Handler: distribution(t, false)}
	repo := serve(t, f)
	c := registry.New(registry.Options{Ledger: newLedger()})
	first, second := pushImage(t, repo), pushImage(t, repo)
	if _, err := c.Put(t.Context(), request(repo, first, at("a", 1), "latest")); err != nil {
		t.Fatal(err)
	}
	f.on(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if putTag(r) == "" {
			return false
		}
		w.WriteHeader(201)
		return true
	})
	_, err := c.Put(t.Context(), request(repo, second, at("b", 2), "latest"))
	if err == nil || !strings.Contains(err.Error(), "names "+first+" right after it was put on "+second) {
		t.Errorf("got %v", err)
	}
}

// A build that is cancelled while its tags are put leaves none behind.
func TestCancelledPut(t *testing.T) {
	f := &front{Handler: distribution(t, true)}
	repo := serve(t, f)
	l := newLedger()
	c := registry.New(registry.Options{Ledger: l})
	first, second := pushImage(t, repo), pushImage(t, repo)
	if _, err := c.Put(t.Context(), request(repo, first, at("a", 1), "latest")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("cancelled by alice")
	f.on(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if putTag(r) == "bad" {
			cancel(stopped)
			w.WriteHeader(403)
			return true
		}
		return false
	})
	_, err := c.Put(ctx, request(repo, second, at("b", 2), "new", "latest", "bad"))
	if !errors.Is(err, stopped) {
		t.Errorf("got %v, want %v", err, stopped)
	}
	if diff := cmp.Diff(map[string]string{"latest": first}, tagsOf(t, repo)); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"latest": "a"}, l.commits(repo)); diff != "" {
		t.Errorf("positions (-want +got):\n%s", diff)
	}
	if len(l.held) > 0 {
		t.Errorf("leases are left: %v", l.held)
	}
}

// Who has lost the repository's lease in the middle must not put tags back:
// they may be somebody else's by now.
func TestLeaseLostInTheMiddle(t *testing.T) {
	f := &front{Handler: distribution(t, false)}
	repo := serve(t, f)
	l := newLedger()
	c := registry.New(registry.Options{Ledger: l})
	first, second := pushImage(t, repo), pushImage(t, repo)
	if _, err := c.Put(t.Context(), request(repo, first, at("a", 1), "latest")); err != nil {
		t.Fatal(err)
	}
	f.on(func(w http.ResponseWriter, r *http.Request, registry http.Handler) bool {
		if putTag(r) == "" {
			return false
		}
		registry.ServeHTTP(httptest.NewRecorder(), r)
		l.takeOver(repo)
		w.WriteHeader(403)
		return true
	})
	_, err := c.Put(t.Context(), request(repo, second, at("b", 2), "latest"))
	if !errors.Is(err, builder.ErrLeaseLost) {
		t.Errorf("got %v, want the lease lost", err)
	}
	if diff := cmp.Diff([]string{"latest", "latest"}, f.written()); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
	if l.held[repo] == "" {
		t.Error("the other holder's lease was given back")
	}
}

// A request that hangs ends when the lease is lost.
func TestLostLeaseEndsRequests(t *testing.T) {
	f := &front{Handler: distribution(t, false)}
	repo := serve(t, f)
	l := newLedger()
	c := registry.New(registry.Options{Ledger: l, RenewEvery: 1e6})
	digest := pushImage(t, repo)
	f.on(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Method == http.MethodHead {
			l.takeOver(repo)
			<-r.Context().Done()
			return true
		}
		return false
	})
	if _, err := c.Put(t.Context(), request(repo, digest, at("a", 1), "latest")); !errors.Is(err, builder.ErrLeaseLost) {
		t.Errorf("got %v, want the lease lost", err)
	}
}
