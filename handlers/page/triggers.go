package page

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/registry-build/registry-build/builder"
)

// run is what a trigger did, in a table.
type run struct {
	builder.TriggerRun
	Across  bool   // the table is of many builds
	Of      string // what the build is of
	RetryAt string // the API's address that fires it again; "" where nobody may, or it is not over
	Link    string // what it made, if that is a page
}

// runsOf prepares runs of one build for its table.
func runsOf(runs []builder.TriggerRun, mayRetry bool) []run {
	rows := make([]run, len(runs))
	for i, r := range runs {
		rows[i] = run{TriggerRun: r}
		if u, err := url.Parse(r.URL); err == nil && (u.Scheme == "https" || u.Scheme == "http") {
			rows[i].Link = r.URL
		}
		if mayRetry && r.State.Terminal() {
			rows[i].RetryAt = "/api/v1/builds/" + url.PathEscape(r.BuildID) + "/triggers/" + url.PathEscape(r.Trigger) + "/retry"
		}
	}
	return rows
}

type triggersView struct {
	Runs  []run
	Only  string // what the list is narrowed to, for its heading
	Older string // address of the older ones
	Live  bool   // something will change soon
}

func (p *Pages) triggers(r *http.Request, maySee func(string) bool) (string, any, error) {
	q := r.URL.Query()
	f := builder.RunFilter{Trigger: q.Get("trigger"), State: builder.RunState(q.Get("state")), Before: q.Get("before")}
	page, next, err := p.Builds.Runs(r.Context(), f)
	if err != nil {
		return "", nil, err
	}
	page = slices.DeleteFunc(page, func(t builder.TriggerRun) bool { return !maySee(t.Repository.Qualified()) })
	v := triggersView{Runs: runsOf(page, true), Live: f.Before == "", Only: strings.TrimSpace(q.Get("trigger") + " " + q.Get("state"))}
	if next != "" {
		q.Set("before", next)
		v.Older = "/triggers?" + q.Encode()
	}
	for i := range v.Runs {
		t := &v.Runs[i]
		t.Across, t.Of = true, strings.TrimSuffix(t.Repository.FullName()+": "+t.Image, ": ")
	}
	return "triggers", v, nil
}
