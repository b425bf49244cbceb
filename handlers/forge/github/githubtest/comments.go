package githubtest

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Comment is a comment on a pull request, an issue or a commit.
type Comment struct {
	ID        int64
	Number    int    // of the pull request or issue; 0 on a commit
	SHA       string // of the commit; empty on a pull request
	User      string
	Body      string
	At        time.Time
	Updated   time.Time
	Reactions []Reaction
}

type comment struct {
	Comment
	by  *account
	app *App // that made it
}

// maxComment is in characters:
// https://docs.github.com/rest/issues/comments#create-an-issue-comment
const maxComment = 65536

// Comments lists the comments of a pull request or issue, oldest first.
func (r *Repo) Comments(number int) []Comment {
	return r.commentsWhere(func(k *comment) bool { return k.Number == number && k.SHA == "" })
}

// CommitComments lists the comments on a commit, oldest first.
func (r *Repo) CommitComments(sha string) []Comment {
	return r.commentsWhere(func(k *comment) bool { return k.SHA == sha })
}

func (r *Repo) commentsWhere(want func(*comment) bool) []Comment {
	r.s.mu.Lock()
	defer r.s.unlock()
	var out []Comment
	for _, k := range r.comments {
		if want(k) {
			one := k.Comment
			one.Reactions = slices.Clone(k.Reactions)
			out = append(out, one)
		}
	}
	return out
}

// Comment is a person writing on a pull request or issue.
func (r *Repo) Comment(number int, login, body string) (Comment, error) {
	r.s.mu.Lock()
	defer r.s.unlock()
	p, err := r.pull(number)
	if err != nil {
		return Comment{}, err
	}
	k := r.addComment(&comment{by: r.s.user(login), Comment: Comment{Number: number, Body: body}})
	r.s.emit(r, "issue_comment", k.by, object{"action": "created", "issue": p.issueJSON(), "comment": k.json(r)})
	return k.Comment, nil
}

// EditComment is a person changing a comment.
func (r *Repo) EditComment(id int64, login, body string) error {
	r.s.mu.Lock()
	defer r.s.unlock()
	for _, k := range r.comments {
		if k.ID != id || k.SHA != "" {
			continue
		}
		p, err := r.pull(k.Number)
		if err != nil {
			return err
		}
		old := k.Body
		k.Body, k.Updated = body, r.s.now()
		r.s.emit(r, "issue_comment", r.s.user(login), object{
			"action": "edited", "issue": p.issueJSON(), "comment": k.json(r), "changes": object{"body": object{"from": old}},
		})
		return nil
	}
	return fmt.Errorf("%s has no comment %d", r.fullName(), id)
}

// CommentCommit is a person writing on a commit.
func (r *Repo) CommentCommit(sha, login, body string) (Comment, error) {
	r.s.mu.Lock()
	defer r.s.unlock()
	if !r.has(sha) {
		return Comment{}, fmt.Errorf("%s has no commit %s", r.fullName(), sha)
	}
	k := r.addComment(&comment{by: r.s.user(login), Comment: Comment{SHA: sha, Body: body}})
	r.s.emit(r, "commit_comment", k.by, object{"action": "created", "comment": k.json(r)})
	return k.Comment, nil
}

func (r *Repo) addComment(k *comment) *comment {
	k.ID, k.User, k.At, k.Updated = r.s.id(), k.by.login, r.s.now(), r.s.now()
	r.comments = append(r.comments, k)
	return k
}

// association is what a person is to the repository, as comments say it. It is
// no permission: a member of the organisation may have none.
func (r *Repo) association(a *account) string {
	switch {
	case a == r.owner:
		return "OWNER"
	case r.explicit(a) != "none" && r.owner.org:
		return "MEMBER"
	case r.explicit(a) != "none":
		return "COLLABORATOR"
	}
	return "NONE"
}

func (k *comment) json(r *Repo) object {
	out := object{
		"id": k.ID, "user": r.s.userJSON(k.by), "body": k.Body, "created_at": stamp(k.At), "updated_at": stamp(k.Updated),
		"author_association": r.association(k.by), "reactions": k.rollup(r),
	}
	if k.SHA != "" {
		out["node_id"], out["commit_id"] = nodeID("CommitComment", k.ID), k.SHA
		out["url"], out["html_url"] = fmt.Sprintf("%s/comments/%d", r.api(), k.ID), fmt.Sprintf("%s/commit/%s#commitcomment-%d", r.web(), k.SHA, k.ID)
		out["path"], out["position"], out["line"] = nil, nil, nil
		return out
	}
	out["node_id"], out["performed_via_github_app"] = nodeID("IssueComment", k.ID), nil
	if k.app != nil {
		out["performed_via_github_app"] = k.app.json()
	}
	out["url"], out["issue_url"] = fmt.Sprintf("%s/issues/comments/%d", r.api(), k.ID), fmt.Sprintf("%s/issues/%d", r.api(), k.Number)
	below := "pull"
	if p, err := r.pull(k.Number); err == nil && p.isIssue {
		below = "issues"
	}
	out["html_url"] = fmt.Sprintf("%s/%s/%d#issuecomment-%d", r.web(), below, k.Number, k.ID)
	return out
}

func (c *call) commentBody() (string, error) {
	var in struct{ Body *string }
	if err := c.read(&in); err != nil {
		return "", err
	}
	switch {
	case in.Body == nil:
		return "", invalid("\"body\" wasn't supplied.")
	case strings.TrimSpace(*in.Body) == "":
		return "", unprocessable("IssueComment", "body", "body can't be blank")
	case utf8.RuneCountInString(*in.Body) > maxComment:
		return "", &apiError{status: http.StatusUnprocessableEntity, message: "Validation Failed", errors: []any{object{
			"resource": "IssueComment", "code": "unprocessable", "field": "data", "message": "Body is too long (maximum is 65536 characters)",
		}}}
	}
	return *in.Body, nil
}

func (s *Server) createComment(c *call) (answer, error) {
	p, err := c.repo.pull(int(c.number("issue_number")))
	if err != nil {
		return answer{}, errNotFound
	}
	body, err := c.commentBody()
	if err != nil {
		return answer{}, err
	}
	k := c.repo.addComment(&comment{by: s.actor(c.tok), app: c.tok.app, Comment: Comment{Number: p.number, Body: body}})
	s.emit(c.repo, "issue_comment", k.by, object{"action": "created", "issue": p.issueJSON(), "comment": k.json(c.repo)})
	return created(k.json(c.repo))
}

func (s *Server) createCommitComment(c *call) (answer, error) {
	sha := c.vars["commit_sha"]
	if !c.repo.has(sha) {
		return answer{}, noCommit(sha)
	}
	body, err := c.commentBody()
	if err != nil {
		return answer{}, err
	}
	k := c.repo.addComment(&comment{by: s.actor(c.tok), app: c.tok.app, Comment: Comment{SHA: sha, Body: body}})
	s.emit(c.repo, "commit_comment", k.by, object{"action": "created", "comment": k.json(c.repo)})
	return created(k.json(c.repo))
}

// comment finds a comment of the path's kind: on commits or on the rest.
func (c *call) comment() (*comment, error) {
	onCommit := !strings.Contains(c.r.URL.Path, "/issues/")
	for _, k := range c.repo.comments {
		if k.ID == c.number("comment_id") && (k.SHA != "") == onCommit {
			return k, nil
		}
	}
	return nil, errNotFound
}

func (s *Server) getComment(c *call) (answer, error) {
	k, err := c.comment()
	if err != nil {
		return answer{}, err
	}
	return ok(k.json(c.repo))
}

func (s *Server) updateComment(c *call) (answer, error) {
	k, err := c.comment()
	if err != nil {
		return answer{}, err
	}
	body, err := c.commentBody()
	if err != nil {
		return answer{}, err
	}
	old := k.Body
	k.Body, k.Updated = body, s.now()
	if p, err := c.repo.pull(k.Number); err == nil && k.SHA == "" {
		s.emit(c.repo, "issue_comment", s.actor(c.tok), object{
			"action": "edited", "issue": p.issueJSON(), "comment": k.json(c.repo), "changes": object{"body": object{"from": old}},
		})
	}
	return ok(k.json(c.repo))
}

func (s *Server) deleteComment(c *call) (answer, error) {
	k, err := c.comment()
	if err != nil {
		return answer{}, err
	}
	c.repo.comments = slices.DeleteFunc(c.repo.comments, func(o *comment) bool { return o == k })
	if p, err := c.repo.pull(k.Number); err == nil && k.SHA == "" {
		s.emit(c.repo, "issue_comment", s.actor(c.tok), object{"action": "deleted", "issue": p.issueJSON(), "comment": k.json(c.repo)})
	}
	return answer{status: http.StatusNoContent}, nil
}

func (s *Server) listComments(c *call) (answer, error) {
	if _, err := c.repo.pull(int(c.number("issue_number"))); err != nil {
		return answer{}, errNotFound
	}
	return c.listCommentsWhere(func(k *comment) bool { return k.SHA == "" && k.Number == int(c.number("issue_number")) })
}

func (s *Server) listCommitComments(c *call) (answer, error) {
	return c.listCommentsWhere(func(k *comment) bool { return k.SHA == c.vars["commit_sha"] })
}

// listRepoComments lists those on pull requests and issues, of all of them:
// https://docs.github.com/rest/issues/comments#list-issue-comments-for-a-repository
func (s *Server) listRepoComments(c *call) (answer, error) {
	since, err := time.Parse(time.RFC3339, cmp.Or(c.query("since"), stamp(time.Unix(0, 0)).(string)))
	if err != nil {
		return answer{}, invalid("%q is no date.", c.query("since"))
	}
	order := slices.Clone(c.repo.comments)
	switch sort := c.query("sort"); { // the direction counts with it only
	case sort == "updated":
		slices.SortStableFunc(order, func(a, b *comment) int { return a.Updated.Compare(b.Updated) })
		fallthrough
	case sort == "created":
		if c.query("direction") != "asc" {
			slices.Reverse(order)
		}
	}
	list := []any{}
	for _, k := range order {
		if k.SHA == "" && !k.Updated.Before(since) {
			list = append(list, k.json(c.repo))
		}
	}
	return c.page(list)
}

// listRepoCommitComments lists those on commits, in the order of their ids:
// https://docs.github.com/rest/commits/comments#list-commit-comments-for-a-repository
func (s *Server) listRepoCommitComments(c *call) (answer, error) {
	return c.listCommentsWhere(func(k *comment) bool { return k.SHA != "" })
}

func (c *call) listCommentsWhere(want func(*comment) bool) (answer, error) {
	list := []any{}
	for _, k := range c.repo.comments {
		if want(k) {
			list = append(list, k.json(c.repo))
		}
	}
	return c.page(list)
}
