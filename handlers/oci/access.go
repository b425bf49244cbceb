package oci

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/distribution/distribution/v3/registry/api/errcode"
	v2 "github.com/distribution/distribution/v3/registry/api/v2"
	"github.com/gorilla/mux"
)

// What Access says no with. Any other error is taken for a check that could
// not be made, and is answered with 503.
var (
	// ErrUnauthenticated: no credentials, or wrong ones. The client is asked
	// for others (401).
	ErrUnauthenticated = errors.New("no valid credentials")
	// ErrDenied: the credentials are good but do not reach that far (403).
	// A 401 would make BuildKit ask again and again.
	ErrDenied = errors.New("denied")
)

// AllRepositories is what Access is asked for when a client wants the catalog.
const AllRepositories = "*"

// Access decides about requests. It may be called concurrently.
type Access interface {
	// Allow returns nil, ErrUnauthenticated or ErrDenied (wrapped or not).
	// The repository is as in the address, "acme/hello". It is "" with no
	// right asked for when a client only wants to know whether its
	// credentials are good (docker login), and AllRepositories with pull for
	// the catalog. A push asks for pull too, as it looks for what is there,
	// and takes in the removal of tags; delete is about digests and blobs.
	Allow(r *http.Request, repository string, pull, push, delete bool) error
}

// AccessFunc is a function as Access.
type AccessFunc func(r *http.Request, repository string, pull, push, delete bool) error

// Allow calls f.
func (f AccessFunc) Allow(r *http.Request, repository string, pull, push, delete bool) error {
	return f(r, repository, pull, push, delete)
}

// guard puts Access in front of distribution. Distribution has a door for
// that too, but its access controllers live in a global table and cannot
// answer 403. The router is distribution's own, so that both read the same
// repository out of an address; what it does not know never gets through.
func (r *Registry) guard(access Access) *mux.Router {
	router := v2.RouterWithPrefix("")
	for _, name := range []string{
		v2.RouteNameBase, v2.RouteNameCatalog, v2.RouteNameManifest, v2.RouteNameTags,
		v2.RouteNameBlob, v2.RouteNameBlobUpload, v2.RouteNameBlobUploadChunk,
	} {
		router.GetRoute(name).Handler(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			want := wanted(name, req)
			if err := want.ask(access, req); err != nil {
				r.refuse(w, req, want, err)
				return
			}
			if name == v2.RouteNameBlobUpload {
				req = r.checkMount(access, req)
			}
			if name == v2.RouteNameManifest {
				w = r.watch(w, req)
			}
			r.app.ServeHTTP(w, req.WithContext(logContext{req.Context(), r.entry}))
		}))
	}
	return router
}

// request is what a client wants, in the words of Access.
type request struct {
	repository         string
	pull, push, delete bool
}

func (want request) ask(access Access, r *http.Request) error {
	return access.Allow(r, want.repository, want.pull, want.push, want.delete)
}

func wanted(route string, r *http.Request) request {
	switch route {
	case v2.RouteNameBase:
		return request{}
	case v2.RouteNameCatalog:
		return request{repository: AllRepositories, pull: true}
	}
	want := request{repository: mux.Vars(r)["name"]}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		want.pull = true
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		want.pull, want.push = true, true
	case http.MethodDelete:
		// Giving up an upload is part of pushing, and so is taking a tag
		// away: who may push can point it anywhere, and a build has to undo
		// what it did when it fails. The digest stays.
		tag := route == v2.RouteNameManifest && !strings.Contains(mux.Vars(r)["reference"], ":")
		if tag || route == v2.RouteNameBlobUploadChunk {
			want.pull, want.push = true, true
		} else {
			want.delete = true
		}
	default: // distribution will answer 405
		want.pull, want.push, want.delete = true, true, true
	}
	return want
}

// checkMount looks at a push that wants a blob from another repository. Who
// may not read that one uploads the blob instead: the specification lets a
// registry answer so, and an error would end the whole push.
func (r *Registry) checkMount(access Access, req *http.Request) *http.Request {
	from := req.FormValue("from")
	if from == "" || access.Allow(req, from, true, false, false) == nil {
		return req
	}
	req = req.Clone(req.Context())
	query := req.URL.Query()
	for _, key := range []string{"from", "mount"} {
		query.Del(key)
		req.Form.Del(key)
		req.PostForm.Del(key)
	}
	req.URL.RawQuery = query.Encode()
	return req
}

func (r *Registry) refuse(w http.ResponseWriter, req *http.Request, want request, err error) {
	var answer errcode.Error
	switch {
	case errors.Is(err, ErrUnauthenticated):
		w.Header().Set("WWW-Authenticate", `Basic realm="registry-build"`)
		answer = errcode.ErrorCodeUnauthorized.WithMessage("a token is required: log in with any user name and the token as password")
	case errors.Is(err, ErrDenied):
		answer = errcode.ErrorCodeDenied.WithMessage("the token may not " + want.String())
	default:
		r.log.ErrorContext(req.Context(), "check access to the registry", "repository", want.repository, "err", err)
		w.Header().Set("Retry-After", "1")
		answer = errcode.ErrorCodeUnavailable.WithMessage("access cannot be checked at the moment")
	}
	w.Header().Set("Docker-Distribution-API-Version", "registry/2.0")
	if err := errcode.ServeJSON(w, answer); err != nil {
		r.log.DebugContext(req.Context(), "answer a client of the registry", "err", err)
	}
}

// String is for people: "push to acme/hello".
func (want request) String() string {
	switch {
	case want.repository == AllRepositories:
		return "list all repositories"
	case want.delete:
		return fmt.Sprintf("delete from %s", want.repository)
	case want.push:
		return fmt.Sprintf("push to %s", want.repository)
	case want.pull:
		return fmt.Sprintf("pull from %s", want.repository)
	}
	return "use this registry"
}
