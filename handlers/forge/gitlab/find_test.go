package gitlab

import (
	"errors"
	"strings"
	"testing"

	"github.com/registry-build/registry-build/builder"
)

func TestFind(t *testing.T) {
	f, a := served(t, map[string]string{
		"projects/acme%2Fplatform%2Fshop": sevens,
		"projects/Acme%2FPlatform%2FShop": sevens,
		"projects/acme%2Fold":             sevens, // as GitLab leads from the names of the past
		"projects/acme%2Fsite%2Eio":       `{"id":9,"path_with_namespace":"acme/site.io"}`,
		"projects/acme%2Fclosed":          `403 {"message":"403 Forbidden"}`,
	})
	want := builder.Repository{Forge: "gitlab", ID: "7", Owner: "acme/platform", Name: "shop", DefaultBranch: "main"}
	for _, name := range []string{"acme/platform/shop", "Acme/Platform/Shop"} {
		if got, err := f.Find(t.Context(), name); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, want)
		}
	}
	if got, err := f.Find(t.Context(), "acme/site.io"); err != nil || got.ID != "9" {
		t.Errorf("a name with a dot: %+v, %v", got, err)
	}
	for name, says := range map[string]string{
		"acme/old": "acme/platform/shop now", "acme/closed": "no project", "acme/none": "no project",
		"shop": "GROUP/NAME", "": "GROUP/NAME", "acme/../shop": "GROUP/NAME", "acme/shop?x=1": "GROUP/NAME", "/acme/shop": "GROUP/NAME", "acme//shop": "GROUP/NAME",
	} {
		_, err := f.Find(t.Context(), name)
		if !errors.Is(err, builder.ErrNotFound) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v; want ErrNotFound with %q", name, err, says)
		}
	}
	if n := a.count("projects/acme%2Fnone"); n != 1 {
		t.Errorf("a project that is not there was asked for %d times", n)
	}
}
