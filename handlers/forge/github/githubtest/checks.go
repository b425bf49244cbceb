package githubtest

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// CheckRun is a check run as a person sees it.
type CheckRun struct {
	ID, Suite              int64
	App                    string // slug
	Name, SHA              string
	DetailsURL, ExternalID string
	Status, Conclusion     string
	Title, Summary, Text   string
	Annotations            []Annotation
	Actions                []Action
	StartedAt, CompletedAt time.Time
	// Updates counts the requests that changed it after it was made.
	Updates int
}

// Annotation is a note on lines of a file.
type Annotation struct {
	Path        string `json:"path"`
	StartLine   int    `json:"start_line"`
	EndLine     int    `json:"end_line"`
	StartColumn *int   `json:"start_column"`
	EndColumn   *int   `json:"end_column"`
	Level       string `json:"annotation_level"`
	Message     string `json:"message"`
	Title       string `json:"title"`
	RawDetails  string `json:"raw_details"`
}

// Action is a button.
type Action struct {
	Label       string `json:"label"`
	Description string `json:"description"`
	Identifier  string `json:"identifier"`
}

type check struct {
	CheckRun
	app       *App
	suite     *suite
	output    bool // there is any
	textGiven bool
}

// CheckRuns lists the check runs of a commit, in the order they were made; of
// all commits if sha is empty.
func (r *Repo) CheckRuns(sha string) []CheckRun {
	r.s.mu.Lock()
	defer r.s.unlock()
	var out []CheckRun
	for _, c := range r.checks {
		if sha == "" || c.SHA == sha {
			one := c.CheckRun
			one.Annotations, one.Actions = slices.Clone(c.Annotations), slices.Clone(c.Actions)
			out = append(out, one)
		}
	}
	return out
}

// CheckRun is the newest check run of a commit and name; ok is false if there is none.
func (r *Repo) CheckRun(sha, name string) (newest CheckRun, ok bool) {
	for _, c := range slices.Backward(r.CheckRuns(sha)) {
		if c.Name == name {
			return c, true
		}
	}
	return CheckRun{}, false
}

func (s *Server) createCheck(c *call) (answer, error) {
	if c.tok.kind != installationToken {
		return answer{}, &apiError{status: http.StatusForbidden, message: "You must authenticate via a GitHub App."}
	}
	var in checkInput
	if err := c.read(&in); err != nil {
		return answer{}, err
	}
	if in.Name == nil || *in.Name == "" {
		return answer{}, invalid("\"name\" wasn't supplied.")
	}
	if in.HeadSHA == nil {
		return answer{}, invalid("\"head_sha\" wasn't supplied.")
	}
	if err := in.check(); err != nil {
		return answer{}, err
	}
	if !c.repo.has(*in.HeadSHA) {
		return answer{}, noCommit(*in.HeadSHA)
	}
	k := &check{CheckRun: CheckRun{ID: s.id(), App: c.tok.app.Slug, SHA: *in.HeadSHA, Status: "queued"}, app: c.tok.app}
	k.suite = c.repo.suiteOf(c.tok.app, *in.HeadSHA)
	k.Suite = k.suite.id
	k.suite.again = false
	in.apply(k, s.now())
	c.repo.checks = append(c.repo.checks, k)
	s.emit(c.repo, "check_run", s.actor(c.tok), object{"action": "created", "check_run": k.hookJSON(c.repo)})
	s.completed(c, k)
	return created(k.json(c.repo))
}

func (s *Server) updateCheck(c *call) (answer, error) {
	k, err := c.check()
	if err != nil {
		return answer{}, err
	}
	if k.app != c.tok.app {
		return answer{}, &apiError{status: http.StatusForbidden, message: fmt.Sprintf("Invalid app_id `%d` - check run can only be modified by the GitHub App that created it.", k.app.ID)}
	}
	var in checkInput
	if err := c.read(&in); err != nil {
		return answer{}, err
	}
	if err := in.check(); err != nil {
		return answer{}, err
	}
	was := k.Status
	k.suite.again = false
	in.apply(k, s.now())
	k.Updates++
	if was != "completed" {
		s.completed(c, k)
	}
	return ok(k.json(c.repo))
}

func (s *Server) completed(c *call, k *check) {
	if k.Status == "completed" {
		s.emit(c.repo, "check_run", s.actor(c.tok), object{"action": "completed", "check_run": k.hookJSON(c.repo)})
	}
}

func (c *call) check() (*check, error) {
	for _, k := range c.repo.checks {
		if k.ID == c.number("check_run_id") {
			return k, nil
		}
	}
	return nil, errNotFound
}

func (s *Server) getCheck(c *call) (answer, error) {
	k, err := c.check()
	if err != nil {
		return answer{}, err
	}
	return ok(k.json(c.repo))
}

func (s *Server) listAnnotations(c *call) (answer, error) {
	k, err := c.check()
	if err != nil {
		return answer{}, err
	}
	list := []any{}
	for _, a := range k.Annotations {
		list = append(list, object{
			"path": a.Path, "start_line": a.StartLine, "end_line": a.EndLine, "start_column": a.StartColumn, "end_column": a.EndColumn,
			"annotation_level": a.Level, "title": orNull(a.Title), "message": a.Message, "raw_details": orNull(a.RawDetails),
			"blob_href": c.repo.api() + "/contents/" + a.Path + "?ref=" + k.SHA,
		})
	}
	return c.page(list)
}

// listChecks lists the check runs of a ref. Of several with one name the
// newest is "latest", which is the default filter.
func (s *Server) listChecks(c *call) (answer, error) {
	sha := c.repo.dir.Resolve(c.vars["ref"])
	if sha == "" {
		return answer{}, noCommit(c.vars["ref"])
	}
	return c.listChecksOf(func(k *check) bool { return k.SHA == sha })
}

func (s *Server) listSuiteChecks(c *call) (answer, error) {
	id := c.number("check_suite_id")
	return c.listChecksOf(func(k *check) bool { return k.Suite == id })
}

func (c *call) listChecksOf(of func(*check) bool) (answer, error) {
	list, seen := []any{}, map[string]bool{}
	for _, k := range slices.Backward(c.repo.checks) {
		key := k.App + "/" + k.Name
		switch {
		case !of(k):
		case c.query("check_name") != "" && c.query("check_name") != k.Name:
		case c.query("status") != "" && c.query("status") != k.Status:
		case c.query("app_id") != "" && c.query("app_id") != fmt.Sprint(k.app.ID):
		case c.query("filter") != "all" && seen[key]:
		default:
			seen[key] = true
			list = append(list, k.json(c.repo))
		}
	}
	return c.pageIn("check_runs", list, nil)
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func (k *check) json(r *Repo) object {
	output := object{
		"title": nil, "summary": nil, "text": nil, "annotations_count": len(k.Annotations),
		"annotations_url": fmt.Sprintf("%s/check-runs/%d/annotations", r.api(), k.ID),
	}
	if k.output {
		output["title"], output["summary"] = orNull(k.Title), k.Summary
		if k.textGiven {
			output["text"] = k.Text
		}
	}
	details := k.DetailsURL
	if details == "" {
		details = k.app.Homepage
	}
	return object{
		"id": k.ID, "name": k.Name, "node_id": nodeID("CheckRun", k.ID), "head_sha": k.SHA, "external_id": k.ExternalID,
		"url": fmt.Sprintf("%s/check-runs/%d", r.api(), k.ID), "html_url": fmt.Sprintf("%s/runs/%d", r.web(), k.ID), "details_url": details,
		"status": k.Status, "conclusion": orNull(k.Conclusion), "started_at": stamp(k.StartedAt), "completed_at": stamp(k.CompletedAt),
		"output": output, "check_suite": object{"id": k.Suite}, "app": k.app.json(), "pull_requests": r.pullsOf(k.SHA),
	}
}

// hookJSON is the check run of a webhook, which has its whole suite.
func (k *check) hookJSON(r *Repo) object {
	out := k.json(r)
	suite := k.suite.json(r)
	for _, extra := range []string{"repository", "head_commit", "latest_check_runs_count", "check_runs_url"} {
		delete(suite, extra)
	}
	out["check_suite"] = suite
	return out
}

// PressButton is a person pressing one of the check run's buttons.
func (r *Repo) PressButton(checkRun int64, identifier, login string) error {
	return r.onCheck(checkRun, func(k *check) error {
		if !slices.ContainsFunc(k.Actions, func(a Action) bool { return a.Identifier == identifier }) {
			return fmt.Errorf("check run %d has no button %q", checkRun, identifier)
		}
		r.s.emitTo(k.app, r, "check_run", r.s.user(login), object{
			"action": "requested_action", "check_run": k.hookJSON(r), "requested_action": object{"identifier": identifier},
		})
		return nil
	})
}

// RerunCheck is a person pressing GitHub's own "Re-run" of a check run.
func (r *Repo) RerunCheck(checkRun int64, login string) error {
	return r.onCheck(checkRun, func(k *check) error {
		r.s.rerun(r, k, r.s.user(login))
		return nil
	})
}

// RerunSuite is a person pressing "Re-run all checks".
func (r *Repo) RerunSuite(suiteID int64, login string) error {
	r.s.mu.Lock()
	defer r.s.unlock()
	for _, u := range r.suites {
		if u.id == suiteID {
			u.again = true
			r.s.emitTo(u.app, r, "check_suite", r.s.user(login), object{"action": "rerequested", "check_suite": u.hookJSON(r)})
			return nil
		}
	}
	return fmt.Errorf("%s has no check suite %d", r.fullName(), suiteID)
}

func (r *Repo) onCheck(id int64, do func(*check) error) error {
	r.s.mu.Lock()
	defer r.s.unlock()
	for _, k := range r.checks {
		if k.ID == id {
			return do(k)
		}
	}
	return fmt.Errorf("%s has no check run %d", r.fullName(), id)
}

// rerequest is the API's way to press "Re-run".
func (s *Server) rerequest(c *call) (answer, error) {
	k, err := c.check()
	if err != nil {
		return answer{}, err
	}
	s.rerun(c.repo, k, s.actor(c.tok))
	return created(object{})
}

// rerun queues the suite again; the check run itself stays as it is:
// https://docs.github.com/rest/checks/runs#rerequest-a-check-run
func (s *Server) rerun(r *Repo, k *check, by *account) {
	k.suite.again = true
	s.emitTo(k.app, r, "check_run", by, object{"action": "rerequested", "check_run": k.hookJSON(r)})
}
