// Package page is what people see in a browser: the list of builds, one build
// with its live log, and what triggers did. It hides HTML. The pages are whole
// as the server sends them; one script keeps them fresh, follows the log and
// fires triggers again. Without it the log is there as text, and the command
// line fires triggers.
package page

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"time"

	"github.com/registry-build/registry-build/builder"
)

// Builds is the record of builds. builder.ErrNotFound for an unknown one,
// builder.ErrUnavailable while the store is away.
type Builds interface {
	Build(ctx context.Context, id string) (builder.Record, error)
	Builds(ctx context.Context, f builder.BuildFilter) (page []builder.Record, next string, err error)
	TriggerRuns(ctx context.Context, buildID string) ([]builder.TriggerRun, error)
	Runs(ctx context.Context, f builder.RunFilter) (page []builder.TriggerRun, next string, err error)
}

// Pages serves /, /builds/ID and /triggers.
type Pages struct {
	Builds Builds
	// MaySee returns what the caller may see, as the API has it: the
	// repository instance:owner/name, or with "" any at all. nil: nobody known calls.
	MaySee func(r *http.Request) func(repository string) bool
	// HasLink reports whether the request's address itself carries the right
	// to see the build that it names.
	HasLink  func(r *http.Request) bool
	Registry func() string // host of the embedded registry
	Log      *slog.Logger
}

//go:embed page.html assets
var files embed.FS

var templates = template.Must(template.New("").Funcs(functions).ParseFS(files, "page.html"))

// Routes is everything this package answers.
func (p *Pages) Routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", p.page(p.list))
	mux.Handle("GET /builds/{id}", p.page(p.build))
	mux.Handle("GET /triggers", p.page(p.triggers))
	assets, err := fs.ReadDir(files, "assets")
	if err != nil {
		p.Log.Error("page assets", "err", err) // never: they are in the binary
	}
	for _, a := range assets {
		mux.Handle("GET /assets/"+a.Name(), asset(a.Name()))
	}
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		p.refuse(w, http.StatusNotFound, "There is no such page.")
	})
	return mux
}

// asset serves a file of the binary. Its hash lets a browser keep it until
// another version runs here.
func asset(name string) http.Handler {
	data, err := files.ReadFile(path.Join("assets", name))
	if err != nil {
		return http.NotFoundHandler()
	}
	sum := sha256.Sum256(data)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", tag)
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(data))
	})
}

// policy lets a page run our one script and talk to us, nothing else: logs
// and names are other people's text.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// content makes the data of the template that it names. What the caller may
// not see is builder.ErrNotFound, like what is not there.
type content func(r *http.Request, maySee func(repository string) bool) (name string, data any, err error)

func (p *Pages) page(c content) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		maySee := p.MaySee(r)
		if p.HasLink(r) {
			maySee = func(string) bool { return true }
		}
		if maySee == nil {
			// The API's challenge, to the letter: then the browser sends the
			// password with the log's requests too, without asking again.
			w.Header().Set("WWW-Authenticate", `Basic realm="registry-build", charset="UTF-8"`)
			p.refuse(w, http.StatusUnauthorized, "A token is needed: any user name, and the token as the password.")
			return
		}
		if !maySee("") {
			p.refuse(w, http.StatusForbidden, "This token has no scope api.")
			return
		}
		name, data, err := c(r, maySee)
		switch {
		case err == nil:
			p.write(w, http.StatusOK, name, data)
		case errors.Is(err, builder.ErrNotFound):
			p.refuse(w, http.StatusNotFound, "There is no such build.")
		case r.Context().Err() != nil:
		case errors.Is(err, builder.ErrUnavailable):
			p.Log.Error("page", "path", r.URL.Path, "err", err)
			w.Header().Set("Retry-After", "5")
			p.refuse(w, http.StatusServiceUnavailable, "The store is not available. Try again in a moment.")
		default:
			p.Log.Error("page", "path", r.URL.Path, "err", err)
			p.refuse(w, http.StatusInternalServerError, "Something on our side failed; the operator's log has the cause.")
		}
	})
}

func (p *Pages) refuse(w http.ResponseWriter, status int, sentence string) {
	p.write(w, status, "refusal", sentence)
}

// write sends a page, whole or not at all.
func (p *Pages) write(w http.ResponseWriter, status int, name string, data any) {
	var page bytes.Buffer
	if err := templates.ExecuteTemplate(&page, name, data); err != nil {
		p.Log.Error("page", "template", name, "err", err)
		http.Error(w, "something on our side failed; the operator's log has the cause", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(page.Bytes())
}
