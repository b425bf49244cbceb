package oci_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/crane"

	"github.com/registry-build/registry-build/handlers/oci"
)

// answer is what a client sees of a refusal.
type answer struct {
	Status    int
	Challenge string
	Code      string
	Message   string
}

func ask(t *testing.T, h http.Handler, method, path, token string) answer {
	t.Helper()
	req := httptest.NewRequest(method, path, nil)
	if token != "" {
		req.SetBasicAuth("x", token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	a := answer{Status: w.Code, Challenge: w.Header().Get("WWW-Authenticate")}
	var body struct {
		Errors []struct{ Code, Message string }
	}
	if json.Unmarshal(w.Body.Bytes(), &body) == nil && len(body.Errors) > 0 {
		a.Code, a.Message = body.Errors[0].Code, body.Errors[0].Message
	}
	return a
}

func TestAccess(t *testing.T) {
	reg := open(t, t.TempDir(), nil)
	challenge := answer{401, `Basic realm="registry-build"`, "UNAUTHORIZED", "a token is required: log in with any user name and the token as password"}
	denied := func(what string) answer { return answer{403, "", "DENIED", "the token may not " + what} }
	notFound := answer{404, "", "MANIFEST_UNKNOWN", "manifest unknown"}
	const upload = "/v2/acme/hello/blobs/uploads/4b0a8f0e-2a63-4d2c-a1d5-9d0f1c0f4f4e"
	for name, tc := range map[string]struct {
		method, path, token string
		want                answer
	}{
		"anonymous login":             {"GET", "/v2/", "", challenge},
		"wrong token, login":          {"GET", "/v2/", "guess", challenge},
		"login":                       {"GET", "/v2/", "hello", answer{Status: 200}},
		"anonymous pull":              {"GET", "/v2/acme/hello/manifests/main", "", challenge},
		"wrong token, pull":           {"GET", "/v2/acme/hello/manifests/main", "guess", challenge},
		"pull":                        {"GET", "/v2/acme/hello/manifests/main", "hello", notFound},
		"pull of another repository":  {"GET", "/v2/acme/other/manifests/main", "hello", denied("pull from acme/other")},
		"tags of another repository":  {"GET", "/v2/acme/other/tags/list", "hello", denied("pull from acme/other")},
		"blob of another repository":  {"HEAD", "/v2/acme/other/blobs/sha256:" + strings.Repeat("a", 64), "hello", denied("pull from acme/other")},
		"push to another repository":  {"PUT", "/v2/acme/other/manifests/main", "hello", denied("push to acme/other")},
		"upload to another":           {"POST", "/v2/acme/other/blobs/uploads/", "hello", denied("push to acme/other")},
		"reader pushes":               {"POST", "/v2/acme/hello/blobs/uploads/", "reader", denied("push to acme/hello")},
		"delete":                      {"DELETE", "/v2/acme/hello/manifests/sha256:" + strings.Repeat("a", 64), "hello", denied("delete from acme/hello")},
		"delete of a blob":            {"DELETE", "/v2/acme/hello/blobs/sha256:" + strings.Repeat("a", 64), "hello", denied("delete from acme/hello")},
		"taking a tag away is push":   {"DELETE", "/v2/acme/hello/manifests/main", "hello", notFound},
		"reader takes a tag away":     {"DELETE", "/v2/acme/hello/manifests/main", "reader", denied("push to acme/hello")},
		"giving up an upload is push": {"DELETE", upload, "hello", answer{404, "", "BLOB_UPLOAD_INVALID", "blob upload invalid"}},
		"reader gives up an upload":   {"DELETE", upload, "reader", denied("push to acme/hello")},
		"catalog of one repository":   {"GET", "/v2/_catalog", "hello", denied("list all repositories")},
		"catalog for readers":         {"GET", "/v2/_catalog", "reader", denied("list all repositories")},
		"catalog":                     {"GET", "/v2/_catalog", "all", answer{Status: 200}},
		"anonymous catalog":           {"GET", "/v2/_catalog", "", challenge},
		"strange method":              {"OPTIONS", "/v2/acme/hello/manifests/main", "hello", denied("delete from acme/hello")},
		"escaped slash":               {"GET", "/v2/acme%2fother/manifests/main", "hello", denied("pull from acme/other")},
		"unknown address":             {"GET", "/v2/acme/hello/referrers/x", "", answer{Status: 404}},
		"dots are cleaned first":      {"GET", "/v2/acme/hello/../other/manifests/main", "hello", answer{Status: 301}},
		"authority out of order":      {"GET", "/v2/", "broken", answer{503, "", "UNAVAILABLE", "access cannot be checked at the moment"}},
		"outside":                     {"GET", "/v1/", "all", answer{Status: 404}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, ask(t, reg, tc.method, tc.path, tc.token)); diff != "" {
				t.Errorf("%s %s (-want +got):\n%s", tc.method, tc.path, diff)
			}
		})
	}
}

// Two registries in one process have an authority each.
func TestTwoRegistries(t *testing.T) {
	closed := open(t, t.TempDir(), nil)
	free, err := oci.New(oci.Options{Dir: t.TempDir(), Secret: secret,
		Access: oci.AccessFunc(func(*http.Request, string, bool, bool, bool) error { return nil })})
	if err != nil {
		t.Fatal(err)
	}
	defer free.Close()
	if got := ask(t, closed, "GET", "/v2/", "").Status; got != 401 {
		t.Errorf("the closed one answers %d", got)
	}
	if got := ask(t, free, "GET", "/v2/", "").Status; got != 200 {
		t.Errorf("the free one answers %d", got)
	}
}

// A push may take a blob from another repository only with the right to read
// it; without, it is told to upload the blob.
func TestMount(t *testing.T) {
	reg := open(t, t.TempDir(), nil)
	s := httptest.NewServer(reg)
	defer s.Close()
	img := image(t, 100, 1)
	if err := crane.Push(img, strings.TrimPrefix(s.URL, "http://")+"/acme/other:main", login("all")); err != nil {
		t.Fatal(err)
	}
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	d, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	path := "/v2/acme/hello/blobs/uploads/?from=acme/other&mount=" + d.String()
	for name, tc := range map[string]struct {
		token string
		want  int
	}{
		"without the right to read it": {"hello", http.StatusAccepted},
		"with it":                      {"all", http.StatusCreated},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ask(t, reg, "POST", path, tc.token).Status; got != tc.want {
				t.Errorf("answered %d, want %d", got, tc.want)
			}
		})
	}
	form := httptest.NewRequest("POST", "/v2/acme/hello/blobs/uploads/", strings.NewReader("from=acme/other&mount="+d.String()))
	form.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	form.SetBasicAuth("x", "hello")
	w := httptest.NewRecorder()
	reg.ServeHTTP(w, form)
	if w.Code != http.StatusAccepted {
		t.Errorf("a mount hidden in a form was answered %d", w.Code)
	}
}
