package handlers_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	registry "github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/registry-build/registry-build/builder"
)

// distribution is a registry that tells the address of what is pushed to it,
// with the configuration that README.md shows.
func distribution(t *testing.T, address, token string) (host string) {
	t.Helper()
	c := &configuration.Configuration{Storage: configuration.Storage{"inmemory": {}, "maintenance": {
		"uploadpurging": map[any]any{"enabled": false}}}}
	c.Catalog.MaxEntries = 10
	c.HTTP.Secret = "0123456789abcdef"
	c.Notifications.Endpoints = []configuration.Endpoint{{
		Name: "registry-build", URL: address, Headers: http.Header{"Authorization": {"Bearer " + token}},
		Timeout: 5 * time.Second, Threshold: 1, Backoff: 50 * time.Millisecond,
	}}
	app := registry.NewApp(context.Background(), c)
	s := httptest.NewServer(app)
	t.Cleanup(func() { s.Close(); app.Shutdown() })
	return strings.TrimPrefix(s.URL, "http://")
}

// A registry of other people tells of a push, and goes on telling while
// nobody can take it down.
func TestARealRegistryTells(t *testing.T) {
	f := newFake()
	f.down = builder.ErrUnavailable
	a := notified(t, f)
	host := distribution(t, a.url+"/hooks/registry", a.token)
	img, err := random.Image(100, 1)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	image := host + "/acme/api"
	if err := crane.Push(img, image+":v1"); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	f.down = nil
	f.mu.Unlock()
	eventually(t, "the push is told", func() bool { return len(f.appended()) > 0 })
	got := f.appended()
	if !strings.HasPrefix(got[0].ID, "registry:") || !strings.HasSuffix(got[0].ID, ":"+image+":v1") {
		t.Errorf("ID %q", got[0].ID)
	}
	want := []builder.Event{{
		ID: got[0].ID, Kind: builder.ImagePushed,
		Repository: builder.Repository{Forge: "registry", ID: image, Owner: host + "/acme", Name: "api"},
		Image:      &builder.ImagePush{Destination: image, Tag: "v1", Digest: digest.String()},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}
