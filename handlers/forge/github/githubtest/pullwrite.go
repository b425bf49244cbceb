package githubtest

import (
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"
)

// Shown is a pull request as people see it.
type Shown struct {
	Number                  int
	Title, Body, Head, Base string
	By                      string // login
	Open                    bool
}

// Pulls lists the pull requests, oldest first.
func (r *Repo) Pulls() []Shown {
	r.s.mu.Lock()
	defer r.s.unlock()
	var out []Shown
	for _, p := range r.pulls {
		if !p.isIssue {
			out = append(out, Shown{p.number, p.title, p.body, p.head, p.base, p.by.login, p.open})
		}
	}
	return out
}

// createPull: https://docs.github.com/rest/pulls/pulls#create-a-pull-request
// Heads of other repositories and issues that become pull requests are left
// out.
func (s *Server) createPull(c *call) (answer, error) {
	var in struct {
		Title, Head, Base *string
		Body              string
		Draft             bool
	}
	if err := c.read(&in); err != nil {
		return answer{}, err
	}
	switch {
	case in.Head == nil || in.Base == nil || in.Title == nil:
		return answer{}, invalid("\"title\", \"head\" and \"base\" weren't all supplied.")
	case strings.TrimSpace(*in.Title) == "" || utf8.RuneCountInString(*in.Title) > 256:
		return answer{}, unprocessable("PullRequest", "title", "title is too long (maximum is 256 characters) or blank")
	case utf8.RuneCountInString(in.Body) > 65536:
		return answer{}, unprocessable("PullRequest", "body", "body is too long (maximum is 65536 characters)")
	}
	r, head := c.repo, strings.TrimPrefix(*in.Head, c.repo.owner.login+":")
	p := &pull{r: r, id: s.id(), title: *in.Title, body: in.Body, by: s.actor(c.tok), draft: in.Draft, from: r, head: head, base: *in.Base, open: true, at: s.now()}
	if p.sha = r.dir.Resolve("refs/heads/" + head); p.sha == "" {
		return answer{}, invalidField("head")
	}
	base := r.dir.Resolve("refs/heads/" + p.base)
	if base == "" {
		return answer{}, invalidField("base")
	}
	if ahead, err := r.dir.Run("rev-list", "--count", p.sha, "^"+base); err != nil || ahead == "0" {
		return answer{}, unprocessable("PullRequest", "", fmt.Sprintf("No commits between %s and %s", p.base, head))
	}
	for _, o := range r.pulls {
		if o.open && !o.isIssue && o.from == r && o.head == head && o.base == p.base {
			return answer{}, unprocessable("PullRequest", "", "A pull request already exists for "+p.label()+".")
		}
	}
	r.number++
	p.number = r.number
	if err := p.refresh(); err != nil {
		return answer{}, err
	}
	r.pulls = append(r.pulls, p)
	p.emit("opened", p.by, nil)
	return created(p.json())
}

// invalidField is a value that GitHub's models do not know.
func invalidField(field string) error {
	return &apiError{status: http.StatusUnprocessableEntity, message: "Validation Failed",
		errors: []any{object{"resource": "PullRequest", "field": field, "code": "invalid"}}}
}

// updatePull: https://docs.github.com/rest/pulls/pulls#update-a-pull-request
// Title and body only.
func (s *Server) updatePull(c *call) (answer, error) {
	p, err := c.pull()
	if err != nil {
		return answer{}, err
	}
	var in struct{ Title, Body, State, Base *string }
	if err := c.read(&in); err != nil {
		return answer{}, err
	}
	if in.State != nil || in.Base != nil {
		return answer{}, invalid("the double changes title and body only.")
	}
	changes := object{}
	if in.Title != nil && *in.Title != p.title {
		changes["title"] = object{"from": p.title}
		p.title = *in.Title
	}
	if in.Body != nil && *in.Body != p.body {
		changes["body"] = object{"from": p.body}
		p.body = *in.Body
	}
	if len(changes) > 0 {
		p.emit("edited", s.actor(c.tok), object{"changes": changes})
	}
	return ok(p.json())
}
