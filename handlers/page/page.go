// Package page is what people see in a browser: the list of builds and one
// build with its live log. The pages are plain HTML from the server; one
// script follows the log, and without it the log is there as text.
package page

import (
	"context"
	"embed"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder"
)

// Builds is the record of builds.
type Builds interface {
	Build(ctx context.Context, id string) (builder.Record, error)
	Builds(ctx context.Context, f builder.BuildFilter) (page []builder.Record, next string, err error)
	TriggerRuns(ctx context.Context, buildID string) ([]builder.TriggerRun, error)
}

// Pages serves / and /builds/ID.
type Pages struct {
	Builds   Builds
	MaySee   func(r *http.Request) func(repository string) bool // nil: nobody known calls
	Registry func() string
	Log      *slog.Logger
}

//go:embed page.html page.css log.js
var files embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"short":    func(commit string) string { return commit[:min(len(commit), 7)] },
	"describe": builder.Describe,
	"when":     func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	"refName": func(ref string) string {
		return strings.TrimPrefix(strings.TrimPrefix(ref, "refs/heads/"), "refs/tags/")
	},
}).ParseFS(files, "page.html"))

// Routes is everything this package answers.
func (p *Pages) Routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", p.page(p.list))
	mux.Handle("GET /builds/{id}", p.page(p.build))
	mux.Handle("GET /assets/", http.StripPrefix("/assets/", http.FileServerFS(files)))
	return mux
}

// policy lets a page run our one script and talk to us, nothing else: logs
// and names are other people's text.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

type content func(r *http.Request, maySee func(repository string) bool) (name string, data any, err error)

func (p *Pages) page(c content) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		maySee := p.MaySee(r)
		if maySee == nil {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry-build", charset="UTF-8"`)
			http.Error(w, "a token is needed: any name, and the token as the password", http.StatusUnauthorized)
			return
		}
		name, data, err := c(r, maySee)
		switch {
		case errors.Is(err, builder.ErrNotFound):
			http.Error(w, "there is no such build", http.StatusNotFound)
			return
		case err != nil:
			p.Log.Error("page", "path", r.URL.Path, "err", err)
			http.Error(w, "something on our side failed; try again in a moment", http.StatusInternalServerError)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", policy)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		if err := templates.ExecuteTemplate(w, name, data); err != nil {
			p.Log.Debug("page", "path", r.URL.Path, "err", err)
		}
	})
}

func (p *Pages) list(r *http.Request, maySee func(string) bool) (string, any, error) {
	page, next, err := p.Builds.Builds(r.Context(), builder.BuildFilter{Before: r.URL.Query().Get("before")})
	var seen []builder.Record
	for _, rec := range page {
		if maySee(rec.Repository.FullName()) {
			seen = append(seen, rec)
		}
	}
	return "list", struct {
		Builds []builder.Record
		Next   string
	}{seen, next}, err
}

func (p *Pages) build(r *http.Request, maySee func(string) bool) (string, any, error) {
	id := r.PathValue("id")
	if !builder.ValidBuildID(id) {
		return "", nil, builder.ErrNotFound
	}
	rec, err := p.Builds.Build(r.Context(), id)
	if err != nil {
		return "", nil, err
	}
	if !maySee(rec.Repository.FullName()) {
		return "", nil, builder.ErrNotFound
	}
	runs, err := p.Builds.TriggerRuns(r.Context(), id)
	return "build", struct {
		builder.Record
		Name string
		Runs []builder.TriggerRun
	}{rec, builder.FullDestination(p.Registry(), rec.Destination), runs}, err
}
