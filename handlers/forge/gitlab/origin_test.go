package gitlab

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
)

func TestOriginFollowsTheProject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		var path, failure atomic.Value
		path.Store("acme/platform/shop")
		f, err := New(Options{
			Config: config.GitLab{Name: "gitlab", URL: "https://git.example.com/gitlab", Token: "glpat-secret", CA: "", Proxy: "http://proxy.example.com:3128"},
			HTTP: tripper(func(*http.Request) (*http.Response, error) {
				asked.Add(1)
				if wait := failure.Load(); wait != nil && wait != "" {
					return says(429, "Retry later", "Retry-After: "+wait.(string))
				}
				return says(200, fmt.Sprintf(`{"id":7,"path_with_namespace":%q}`, path.Load()))
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		login := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("oauth2:glpat-secret"))
		check := func(what string, repo builder.Repository, want string, times int64) {
			t.Helper()
			got, err := f.Origin(t.Context(), repo)
			whole := builder.Origin{URL: "https://git.example.com/gitlab/" + want + ".git", Header: login, Proxy: "http://proxy.example.com:3128"}
			if diff := cmp.Diff(whole, got); diff != "" || err != nil || asked.Load() != times {
				t.Errorf("%s: %v after %d questions; want %d (-want +got):\n%s", what, err, asked.Load(), times, diff)
			}
		}
		renamed := shop()
		renamed.Owner, renamed.Name = "beta", "store"

		check("first", shop(), "acme/platform/shop", 1)
		check("again", shop(), "acme/platform/shop", 1)
		path.Store("beta/store")
		check("renamed a moment ago", shop(), "acme/platform/shop", 1)
		check("by a newer record", renamed, "beta/store", 2)
		check("by an older one", shop(), "beta/store", 3)
		check("by an older one again", shop(), "beta/store", 3)
		time.Sleep(nameHolds + time.Second) // synctest's clock
		path.Store("gamma/store")
		check("after a while", renamed, "gamma/store", 4)
		time.Sleep(nameHolds + time.Second) // synctest's clock
		failure.Store("60")
		check("while a limit is met", renamed, "gamma/store", 5)
		time.Sleep(nameStale) // synctest's clock
		var later builder.Later
		if _, err := f.Origin(t.Context(), renamed); !errors.As(err, &later) {
			t.Errorf("while a limit is met, for long: %v; want builder.Later", err)
		}
	})
}

func TestOriginThatIsNone(t *testing.T) {
	f, a := served(t, map[string]string{"projects/8": `403 {"message":"403 Forbidden"}`, "projects/9": `{"id":7,"path_with_namespace":"a/b"}`})
	for _, id := range []string{"", "0", "-7", "07", "7 ", "+7", "none/none", "..", "7/../8", "99999999999999999999"} {
		repo := shop()
		repo.ID = id
		if at, err := f.Origin(t.Context(), repo); !errors.Is(err, builder.ErrNotFound) || at != (builder.Origin{}) {
			t.Errorf("origin of %q: %+v, %v; want ErrNotFound", id, at, err)
		}
	}
	if len(a.asked) > 0 {
		t.Errorf("asked for %v", a.asked)
	}
	for id, want := range map[string]error{"5": builder.ErrNotFound, "8": builder.ErrDenied} {
		repo := shop()
		repo.ID = id
		if _, err := f.Origin(once(t.Context()), repo); !errors.Is(err, want) {
			t.Errorf("origin of %s: %v; want %v", id, err, want)
		}
	}
	repo := shop()
	repo.ID = "9"
	if _, err := f.Origin(t.Context(), repo); err == nil {
		t.Error("another project's answer was taken")
	}
}
