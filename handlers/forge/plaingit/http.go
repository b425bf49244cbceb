package plaingit

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge"
)

// Mount is where Handler expects to be reached.
const Mount = "/git/"

const (
	uploadPack  = "git-upload-pack"  // clone and fetch
	receivePack = "git-receive-pack" // push
)

// statusError is an answer other than 200: git shows the sentence as "remote:"
// where it is asking for refs.
type statusError struct {
	status   int
	sentence string
}

func (e *statusError) Error() string { return e.sentence }

// Handler serves Mount: git's smart HTTP, protocol 0 to 2. It sets no time
// limits of its own but one minute for a client that stops reading; the
// server that it runs in has none on reading or writing whole requests either,
// or large pushes and long builds are cut.
func (f *Forge) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := f.serve(w, r); err != nil {
			f.fail(w, r, err)
		}
	})
}

func (f *Forge) serve(w http.ResponseWriter, r *http.Request) error {
	id, action, err := split(r)
	if err != nil {
		return err
	}
	repo, err := f.repository(id)
	if err != nil {
		return &statusError{http.StatusNotFound, err.Error()}
	}
	service := action
	if action == "info/refs" {
		service = r.URL.Query().Get("service")
	}
	if service != uploadPack && service != receivePack {
		return &statusError{http.StatusForbidden, "only git's smart protocol is served: use git 1.6.6 or newer"}
	}
	actor, err := f.opts.Access.Allow(r, repo.path, service == receivePack)
	if err != nil {
		return err
	}
	if action == "info/refs" {
		return f.advertise(w, r, repo, service)
	}
	return f.exchange(w, r, repo, service, actor)
}

// split takes the path apart: OWNER/NAME[.git] and what is asked of it.
func split(r *http.Request) (id, action string, err error) {
	path, ok := strings.CutPrefix(r.URL.Path, Mount)
	if r.URL.RawPath != "" || !ok {
		return "", "", &statusError{http.StatusNotFound, "repositories are at " + Mount + "OWNER/NAME.git, without escaped characters"}
	}
	for action, method := range map[string]string{
		"info/refs": http.MethodGet, uploadPack: http.MethodPost, receivePack: http.MethodPost,
	} {
		id, ok := strings.CutSuffix(path, "/"+action)
		switch {
		case !ok:
		case r.Method != method:
			return "", "", &statusError{http.StatusMethodNotAllowed, "this address answers " + method}
		default:
			return strings.TrimSuffix(id, ".git"), action, nil
		}
	}
	return "", "", &statusError{http.StatusNotFound, "this is a git remote: git clone " + Mount + "OWNER/NAME.git"}
}

// advertise answers what refs there are. A repository that a push would make
// looks like an empty one to the push.
func (f *Forge) advertise(w http.ResponseWriter, r *http.Request, repo repository, service string) error {
	dir := repo.dir
	missing, err := f.there(repo, service)
	if err != nil {
		return err
	}
	if missing {
		dir = f.empty()
	}
	env := protocolEnv(r)
	refs, err := run(f.command(r.Context(), dir, env,
		strings.TrimPrefix(service, "git-"), "--stateless-rpc", "--advertise-refs", dir))
	if err != nil {
		return err
	}
	header(w, "application/x-"+service+"-advertisement")
	// Protocol 2 leaves out the service line; pushing has no protocol 2.
	if service == receivePack || len(env) == 0 || !strings.Contains(env[0], "version=2") {
		line := "# service=" + service + "\n"
		fmt.Fprintf(w, "%04x%s0000", len(line)+4, line)
	}
	_, err = io.WriteString(w, refs)
	if err != nil {
		f.log.Debug("client is gone", "repo", repo.path, "err", err)
	}
	return nil
}

// there reports whether the repository is missing and a push may make it.
func (f *Forge) there(repo repository, service string) (missing bool, err error) {
	err = repo.check()
	switch {
	case !errors.Is(err, builder.ErrNotFound):
		return false, err
	case service == receivePack && f.opts.Create:
		return true, f.spelling(repo)
	case service == receivePack:
		return false, &statusError{http.StatusNotFound, "there is no repository " + repo.path + ", and the server's configuration lets no push make one"}
	}
	return false, &statusError{http.StatusNotFound, "there is no repository " + repo.path}
}

func (f *Forge) exchange(w http.ResponseWriter, r *http.Request, repo repository, service, actor string) error {
	// Also keeps web pages of other origins out: no form can send this type.
	if want := "application/x-" + service + "-request"; r.Header.Get("Content-Type") != want {
		return &statusError{http.StatusUnsupportedMediaType, "the content type must be " + want}
	}
	body, err := plainBody(r)
	if err != nil {
		return err
	}
	if _, err := f.there(repo, service); err != nil {
		return err
	}
	if service == receivePack {
		return f.receive(w, r, repo, actor, body)
	}
	header(w, "application/x-git-upload-pack-result")
	cmd := f.command(r.Context(), repo.dir, protocolEnv(r), "upload-pack", "--stateless-rpc", repo.dir)
	return f.stream(w, cmd, body, func() {})
}

// receive runs one push. Until the pre-receive hook has recorded what it means
// to do, a pusher who goes away ends it; after that it goes on without them.
func (f *Forge) receive(w http.ResponseWriter, r *http.Request, repo repository, actor string, body io.Reader) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	defer cancel()
	p, err := f.begin(ctx, repo, actor)
	if err != nil {
		return err
	}
	defer f.end(ctx, p)
	gone := func() {
		if p.abandon() {
			cancel()
		}
	}
	defer context.AfterFunc(r.Context(), gone)()
	header(w, "application/x-git-receive-pack-result")
	cmd := f.command(ctx, repo.dir, append(protocolEnv(r), envSocket+"="+f.socket, envToken+"="+p.token),
		"receive-pack", "--stateless-rpc", repo.dir)
	return f.stream(w, cmd, body, gone)
}

// plainBody undoes the compression that git applies to larger requests.
func plainBody(r *http.Request) (io.Reader, error) {
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
		return r.Body, nil
	case "gzip", "x-gzip":
		body, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, &statusError{http.StatusBadRequest, "the body is not gzip as its header says"}
		}
		return body, nil
	default:
		return nil, &statusError{http.StatusUnsupportedMediaType, "the content encoding must be gzip or none"}
	}
}

func protocolEnv(r *http.Request) []string {
	if p := r.Header.Get("Git-Protocol"); len(p) <= 256 && protocol.MatchString(p) {
		return []string{"GIT_PROTOCOL=" + p}
	}
	return nil
}

func header(w http.ResponseWriter, contentType string) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-cache, max-age=0, must-revalidate")
	h.Set("X-Content-Type-Options", "nosniff")
}

// fail answers errors that came before the first byte, and logs ours.
func (f *Forge) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, sentence := http.StatusInternalServerError, "the git remote could not answer: its log says why"
	var answer *statusError
	var refused *refusal
	switch {
	case errors.As(err, &answer):
		status, sentence = answer.status, answer.sentence
	case errors.As(err, &refused):
		status, sentence = http.StatusConflict, refused.sentence
	case errors.Is(err, forge.ErrUnauthenticated):
		w.Header().Set("WWW-Authenticate", `Basic realm="registry-build", charset="UTF-8"`)
		status, sentence = http.StatusUnauthorized, err.Error()
	case errors.Is(err, forge.ErrForbidden):
		status, sentence = http.StatusForbidden, err.Error()
	default:
		f.log.Error("git remote", "method", r.Method, "path", r.URL.Path, "err", err)
	}
	header(w, "text/plain; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintln(w, sentence)
}

// patience is how long a client may take to read 32 KiB.
const patience = time.Minute
