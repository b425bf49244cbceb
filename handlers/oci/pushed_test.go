package oci_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/crane"

	"github.com/registry-build/registry-build/handlers/oci"
)

// listener hears of pushes.
type listener struct {
	mu    sync.Mutex
	heard []string
	fails int // so many times
}

func (l *listener) pushed(r *http.Request, p oci.Push) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fails > 0 {
		l.fails--
		return errors.New("nobody can take this down now")
	}
	_, token, _ := r.BasicAuth()
	l.heard = append(l.heard, fmt.Sprintf("%s %s:%s %s %s", token, p.Repository, p.Tag, p.Digest, p.MediaType))
	return nil
}

func (l *listener) told() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	heard := l.heard
	l.heard = nil
	return heard
}

func serveTo(t *testing.T, l *listener) string {
	t.Helper()
	r, err := oci.New(oci.Options{Dir: t.TempDir(), Access: oci.AccessFunc(tokens), Secret: secret, Pushed: l.pushed})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(r)
	t.Cleanup(func() { s.Close(); r.Close() })
	return strings.TrimPrefix(s.URL, "http://")
}

func TestPushesAreTold(t *testing.T) {
	l := &listener{}
	repo := serveTo(t, l) + "/acme/hello"
	img := image(t, 100, 1)
	digest := digestOf(t, img)
	want := []string{"hello acme/hello:main " + digest + " application/vnd.docker.distribution.manifest.v2+json"}

	if err := crane.Push(img, repo+"@"+digest, login("hello")); err != nil {
		t.Fatal(err)
	}
	if got := l.told(); got != nil {
		t.Errorf("a push by digest was told: %q", got)
	}
	if err := crane.Push(img, repo+":main", login("hello")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, l.told()); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	if err := crane.Push(image(t, 100, 1), repo+":main", login("reader")); err == nil {
		t.Error("a reader may push")
	}
	if _, err := crane.Manifest(repo+":main", login("hello")); err != nil {
		t.Error(err)
	}
	if got := l.told(); got != nil {
		t.Errorf("what is no push was told: %q", got)
	}
}

// A manifest that the registry refuses is nobody's push.
func TestRefusedPushesAreNotTold(t *testing.T) {
	l := &listener{}
	host := serveTo(t, l)
	req, err := http.NewRequest(http.MethodPut, "http://"+host+"/v2/acme/hello/manifests/main", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
	req.SetBasicAuth("x", "hello")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode < http.StatusBadRequest {
		t.Errorf("answered %d", resp.StatusCode)
	}
	if got := l.told(); got != nil {
		t.Errorf("told: %q", got)
	}
}

// What cannot be told is not acknowledged: the client pushes again.
func TestAPushThatCannotBeToldIsRepeated(t *testing.T) {
	l := &listener{fails: 1}
	repo := serveTo(t, l) + "/acme/hello"
	if err := crane.Push(image(t, 100, 1), repo+":main", login("hello")); err != nil {
		t.Fatalf("the client gave up: %v", err)
	}
	if got := l.told(); len(got) != 1 {
		t.Errorf("told: %q", got)
	}
	l.fails = 1
	raw, err := crane.Manifest(repo+":main", login("hello"))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPut, "http://"+strings.Replace(repo, "/acme", "/v2/acme", 1)+"/manifests/again", strings.NewReader(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/vnd.docker.distribution.manifest.v2+json")
	req.SetBasicAuth("x", "hello")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") != "1" || resp.Header.Get("Location") != "" {
		t.Errorf("answered %d %v", resp.StatusCode, resp.Header)
	}
}
