package page

import (
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder"
)

var functions = template.FuncMap{
	"short":    func(commit string) string { return commit[:min(len(commit), 7)] },
	"describe": builder.Describe,
	"iso":      func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"when":     func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	"took":     took,
	"place":    place,
	"refName": func(ref string) string {
		return strings.TrimPrefix(strings.TrimPrefix(ref, "refs/heads/"), "refs/tags/")
	},
	"title": func(b builder.Build) string {
		if b.Image == b.Repository.Name || b.Image == "" {
			return b.Repository.FullName()
		}
		return b.Repository.FullName() + ": " + b.Image
	},
}

// row is a build in the list.
type row struct {
	builder.Record
	Ago string
}

type listView struct {
	Rows []row
	Next string // goes into ?before= of the older ones
	Live bool   // something will change soon
}

func (p *Pages) list(r *http.Request, maySee func(string) bool) (string, any, error) {
	var f builder.BuildFilter
	if before := r.URL.Query().Get("before"); before != "" {
		var err error
		if f.Before, err = builder.ParseBuildID(before); err != nil {
			return "", nil, builder.ErrNotFound
		}
	}
	page, next, err := p.Builds.Builds(r.Context(), f)
	if err != nil {
		return "", nil, err
	}
	now := time.Now()
	v := listView{Next: next, Live: f.Before == ""}
	for _, rec := range page {
		if maySee(rec.Repository.Qualified()) {
			v.Rows = append(v.Rows, row{rec, ago(now.Sub(rec.AcceptedAt))})
		}
	}
	return "list", v, nil
}

type buildView struct {
	builder.Record
	Name string // of the image, as docker pull takes it
	Ago  string
	Took string
	Runs []run
	Live bool // something will change soon
	// Query goes to the log's address too: the right that the page's carries.
	Query string
}

// triggersDue is how long after its end a build's triggers are waited for.
const triggersDue = 30 * time.Second

func (p *Pages) build(r *http.Request, maySee func(string) bool) (string, any, error) {
	id, err := builder.ParseBuildID(r.PathValue("id"))
	if err != nil {
		return "", nil, builder.ErrNotFound
	}
	rec, err := p.Builds.Build(r.Context(), id)
	if err != nil {
		return "", nil, err
	}
	if !maySee(rec.Repository.Qualified()) {
		return "", nil, builder.ErrNotFound
	}
	runs, err := p.Builds.TriggerRuns(r.Context(), id)
	if err != nil {
		return "", nil, err
	}
	now := time.Now()
	query, known := "", p.MaySee(r)
	mayRetry := known != nil && known(rec.Repository.Qualified())
	if p.HasLink(r) {
		query = "?" + r.URL.RawQuery
		if !mayRetry {
			runs = silent(runs)
		}
	}
	v := buildView{Query: query, Record: rec, Name: builder.FullDestination(p.Registry(), rec.Destination), Ago: ago(now.Sub(rec.AcceptedAt)), Runs: runsOf(runs, mayRetry)}
	switch {
	case rec.StartedAt.IsZero():
	case rec.FinishedAt.IsZero():
		v.Took = took(now.Sub(rec.StartedAt))
	default:
		v.Took = took(rec.FinishedAt.Sub(rec.StartedAt))
	}
	v.Live = !rec.State.Terminal() || len(rec.Triggers) > 0 && now.Sub(rec.FinishedAt) < triggersDue ||
		slices.ContainsFunc(runs, func(r builder.TriggerRun) bool { return !r.State.Terminal() })
	return "build", v, nil
}

// silent leaves out what others answered to triggers, and why they failed: a
// link is read by everybody who can read the code.
func silent(runs []builder.TriggerRun) []builder.TriggerRun {
	runs = slices.Clone(runs)
	for i := range runs {
		runs[i].Answer, runs[i].Error, runs[i].URL = "", "", ""
	}
	return runs
}

// place is where a failure lies, unless its message begins with that.
func place(f *builder.Failure) string {
	switch {
	case f.File == "" || strings.HasPrefix(f.Message, f.File):
		return ""
	case f.Line > 0:
		return fmt.Sprintf("%s:%d", f.File, f.Line)
	}
	return f.File
}

func took(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}

func ago(d time.Duration) string {
	switch {
	case d < 5*time.Second:
		return "now"
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d days ago", int(d.Hours())/24)
}
