package oci_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/crane"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"github.com/registry-build/registry-build/handlers/oci"
)

var secret = []byte("0123456789abcdef0123456789abcdef")

// tokens is an authority over three tokens: "all" may do everything, "reader"
// pulls everything, "hello" pushes to and pulls from acme/hello.
func tokens(r *http.Request, repository string, pull, push, del bool) error {
	_, password, _ := r.BasicAuth()
	switch password {
	case "all":
		return nil
	case "reader":
		if repository == "" || repository != oci.AllRepositories && !push && !del {
			return nil
		}
	case "hello":
		if repository == "" || repository == "acme/hello" && !del {
			return nil
		}
	case "broken":
		return fmt.Errorf("the authority is asleep")
	default:
		return fmt.Errorf("token %q: %w", password, oci.ErrUnauthenticated)
	}
	return fmt.Errorf("token %q: %w", password, oci.ErrDenied)
}

func open(t *testing.T, dir string, log *slog.Logger) *oci.Registry {
	t.Helper()
	r, err := oci.New(oci.Options{Dir: dir, Access: oci.AccessFunc(tokens), Secret: secret, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// serve returns host:port of a registry in a new folder.
func serve(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(open(t, t.TempDir(), nil))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func login(token string) crane.Option {
	return crane.WithAuth(&authn.Basic{Username: "anybody", Password: token})
}

func image(t *testing.T, size int64, layers int64) v1.Image {
	t.Helper()
	img, err := random.Image(size, layers)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// largeImage has one layer; making random bytes would take longer than
// pushing them.
func largeImage(t *testing.T, size int) v1.Image {
	t.Helper()
	layer := static.NewLayer(bytes.Repeat([]byte("registry-build!\n"), size/16), types.OCIUncompressedLayer)
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func digestOf(t *testing.T, img v1.Image) string {
	t.Helper()
	d, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

func TestPushAndPull(t *testing.T) {
	for name, img := range map[string]v1.Image{
		"five layers":       image(t, 10_000, 5),
		"a layer of 64 MiB": largeImage(t, 64<<20),
	} {
		t.Run(name, func(t *testing.T) {
			ref := serve(t) + "/acme/hello:main"
			if err := crane.Push(img, ref, login("hello")); err != nil {
				t.Fatal(err)
			}
			got, err := crane.Pull(ref, login("reader"))
			if err != nil {
				t.Fatal(err)
			}
			if digestOf(t, got) != digestOf(t, img) {
				t.Errorf("pulled %s, pushed %s", digestOf(t, got), digestOf(t, img))
			}
			layers, err := got.Layers()
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range layers {
				rc, err := l.Compressed()
				if err != nil {
					t.Fatal(err)
				}
				// The reader verifies the digest.
				if _, err := io.Copy(io.Discard, rc); err != nil {
					t.Error(err)
				}
				rc.Close()
			}
		})
	}
}

func TestDeletedTagLeavesDigest(t *testing.T) {
	repo := serve(t) + "/acme/hello"
	img := image(t, 100, 1)
	if err := crane.Push(img, repo+":main", login("all")); err != nil {
		t.Fatal(err)
	}
	if err := crane.Delete(repo+":main", login("all")); err != nil {
		t.Fatal(err)
	}
	if _, err := crane.Head(repo+":main", login("all")); err == nil {
		t.Error("the tag is still there")
	}
	if _, err := crane.Head(repo+"@"+digestOf(t, img), login("all")); err != nil {
		t.Errorf("the digest went with its tag: %v", err)
	}
}

func TestTagsMoveInParallel(t *testing.T) {
	repo := serve(t) + "/acme/hello"
	var g errgroup.Group
	for i := range 8 {
		img := image(t, 50_000, 2)
		g.Go(func() error {
			if err := crane.Push(img, fmt.Sprintf("%s:t%d", repo, i), login("hello")); err != nil {
				return err
			}
			return crane.Push(img, repo+":latest", login("hello"))
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	latest, err := crane.Digest(repo+":latest", login("hello"))
	if err != nil {
		t.Fatal(err)
	}
	var found bool
	for i := range 8 {
		d, err := crane.Digest(fmt.Sprintf("%s:t%d", repo, i), login("hello"))
		if err != nil {
			t.Fatal(err)
		}
		found = found || d == latest
	}
	if !found {
		t.Errorf("latest names %s, which nobody pushed", latest)
	}
}

func TestRestartInTheMiddleOfAnUpload(t *testing.T) {
	dir := t.TempDir()
	var mu sync.Mutex
	reg := open(t, dir, nil)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		h := reg
		mu.Unlock()
		h.ServeHTTP(w, r)
	}))
	defer s.Close()
	blob := bytes.Repeat([]byte("registry-build "), 1<<16)
	half := len(blob) / 2

	do := func(method, url string, body []byte, want int) *http.Response {
		t.Helper()
		req, err := http.NewRequest(method, url, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("x", "hello")
		req.Header.Set("Content-Type", "application/octet-stream")
		resp, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != want {
			text, _ := io.ReadAll(resp.Body)
			t.Fatalf("%s %s: %s: %s", method, url, resp.Status, text)
		}
		return resp
	}
	next := func(resp *http.Response) string {
		t.Helper()
		where := resp.Header.Get("Location")
		if !strings.HasPrefix(where, "/v2/acme/hello/blobs/uploads/") {
			t.Fatalf("Location %q is not relative", where)
		}
		return s.URL + where
	}
	where := next(do("POST", s.URL+"/v2/acme/hello/blobs/uploads/", nil, http.StatusAccepted))
	where = next(do("PATCH", where, blob[:half], http.StatusAccepted))

	if err := reg.Close(); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	reg = open(t, dir, nil)
	mu.Unlock()

	where = next(do("PATCH", where, blob[half:], http.StatusAccepted))
	name := digest.FromBytes(blob).String()
	do("PUT", where+"&digest="+name, nil, http.StatusCreated)
	if got := do("HEAD", s.URL+"/v2/acme/hello/blobs/"+name, nil, http.StatusOK); got.ContentLength != int64(len(blob)) {
		t.Errorf("the blob has %d bytes, want %d", got.ContentLength, len(blob))
	}
}

func TestBadOptions(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	good := oci.Options{Dir: t.TempDir(), Access: oci.AccessFunc(tokens), Secret: secret}
	for name, tc := range map[string]struct {
		change func(*oci.Options)
		want   string
	}{
		"no folder":        {func(o *oci.Options) { o.Dir = "" }, "registry: no folder given"},
		"no access":        {func(o *oci.Options) { o.Access = nil }, "registry: nothing given that checks access"},
		"short secret":     {func(o *oci.Options) { o.Secret = []byte("x") }, "registry: the secret for uploads has 1 bytes; it needs at least 16"},
		"folder is a file": {func(o *oci.Options) { o.Dir = file }, "registry: make its folder: mkdir " + file + ": not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			tc.change(&o)
			if _, err := oci.New(o); err == nil || err.Error() != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

// Distribution must not reach the process's own logrus, where it would write
// an error line for every 404 to standard error.
func TestLogging(t *testing.T) {
	var global bytes.Buffer
	logrus.SetOutput(&global)
	defer logrus.SetOutput(os.Stderr)
	for name, tc := range map[string]struct {
		level slog.Level
		want  string
	}{
		"a client's mistake is no error": {slog.LevelInfo, ""},
		"but is there for debugging":     {slog.LevelDebug, "reference=absent"},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			reg := open(t, t.TempDir(), slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: tc.level})))
			s := httptest.NewServer(reg)
			ref := strings.TrimPrefix(s.URL, "http://") + "/acme/hello:absent"
			if _, err := crane.Manifest(ref, login("all")); err == nil {
				t.Error("a manifest that is not there was found")
			}
			s.Close() // waits for the handlers, which write log
			if tc.want == "" && log.Len() > 0 || !strings.Contains(log.String(), tc.want) {
				t.Errorf("logged %q, want %q", log.String(), tc.want)
			}
			if strings.Contains(log.String(), "all") && strings.Contains(log.String(), "Basic") {
				t.Errorf("credentials in the log: %s", log.String())
			}
		})
	}
	if global.Len() > 0 {
		t.Errorf("distribution wrote to the global logger: %s", global.String())
	}
}

// What breaks in the registry itself is an error for the operator.
func TestStorageFailureIsLogged(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	reg := open(t, dir, slog.New(slog.NewTextHandler(&log, nil)))
	s := httptest.NewServer(reg)
	repo := strings.TrimPrefix(s.URL, "http://") + "/acme/hello"
	if err := crane.Push(image(t, 100, 1), repo+":main", login("all")); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "docker/registry/v2/repositories/acme/hello/_manifests/tags/main/current/link")
	if err := os.WriteFile(link, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if got := ask(t, reg, "GET", "/v2/acme/hello/manifests/main", "all").Status; got != 500 {
		t.Errorf("a damaged tag was answered %d", got)
	}
	if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "repository=acme/hello") {
		t.Errorf("logged %q", log.String())
	}
}
