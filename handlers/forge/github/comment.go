package github

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/google/go-github/v60/github"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/markdown"
	"github.com/registry-build/registry-build/handlers/forge/quota"
	"github.com/registry-build/registry-build/handlers/forge/telling"
)

// spoken is what is known of a thread's comment.
type spoken struct {
	ID   int64  `json:"id,omitempty"`   // on a pull request; 0: it was being made
	Body string `json:"body,omitempty"` // fingerprint
	Seq  int64  `json:"seq,omitempty"`  // on a commit: of the newest remark that was told
}

// Show implements builder.Commenter. A pull request has one comment of ours,
// which is changed. On a commit each answer is a comment of its own: GitHub
// lets apps change those only with the right to write contents.
func (a *App) Show(ctx context.Context, t builder.Thread) error {
	subject := fmt.Sprintf("%s#%d", t.Repository.Key(), t.Pull)
	show := a.showOnPull
	if t.Pull == 0 {
		subject, show = t.Repository.Key()+"@"+t.Commit, a.showOnCommit
	}
	release, err := a.ledger().Hold(ctx, subject)
	if err != nil {
		return err
	}
	defer release()
	ctx = quota.Urgent(ctx)
	err = show(ctx, "github:thread/"+subject, t)
	if lacksPermission(err) {
		return nil
	}
	return a.ledger().Settle(ctx, t.Repository, subject, err)
}

func (a *App) showOnPull(ctx context.Context, key string, t builder.Thread) error {
	var s spoken
	known, err := a.ledger().Recall(ctx, key, &s)
	if err != nil {
		return err
	}
	body := markdown.Thread(t.Remarks)
	switch {
	case s.ID != 0 && s.Body == markdown.Fingerprint(body):
		return nil
	case len(t.Remarks) == 0 && !known && !t.Shown:
		return nil
	}
	client, err := a.client(ctx, t.Repository, need{"pull_requests": "write"})
	if err != nil {
		return err
	}
	if s.ID == 0 {
		first, err := a.Memory.Claim(ctx, key, "{}", telling.Keep)
		if err != nil {
			return err
		}
		if !first || t.Shown {
			if s.ID, err = a.findComment(ctx, client, t); err != nil {
				return err
			}
		}
	}
	if s.ID, err = a.writeComment(ctx, client, t, s.ID, body); err != nil || s.ID == 0 {
		return err
	}
	s.Body = markdown.Fingerprint(body)
	return a.ledger().Remember(ctx, key, s)
}

// writeComment changes the comment, or makes it where there is none (any
// more). 0: there is none, and nothing to say.
func (a *App) writeComment(ctx context.Context, client *github.Client, t builder.Thread, id int64, body string) (int64, error) {
	repo, text := t.Repository, &github.IssueComment{Body: github.String(body)}
	if id != 0 {
		_, _, err := client.Issues.EditComment(repeatable(ctx), repo.Owner, repo.Name, id, text)
		if err == nil {
			return id, nil
		}
		if answeredWith(err) != http.StatusNotFound {
			return 0, fmt.Errorf("comment on pull request %d: %w", t.Pull, err)
		}
	}
	if len(t.Remarks) == 0 {
		return 0, nil
	}
	made, _, err := client.Issues.CreateComment(ctx, repo.Owner, repo.Name, t.Pull, text)
	if err != nil {
		return 0, fmt.Errorf("comment on pull request %d: %w", t.Pull, err)
	}
	return made.GetID(), nil
}

// findComment looks for our comment on the pull request; 0 when there is
// none. Whoever copies the marker is not us.
func (a *App) findComment(ctx context.Context, client *github.Client, t builder.Thread) (int64, error) {
	us, err := a.Identities.Identity(ctx)
	if err != nil {
		return 0, err
	}
	for page := 1; page != 0; {
		// go-github does not read performed_via_github_app.
		req, err := client.NewRequest(http.MethodGet, fmt.Sprintf("repos/%s/%s/issues/%d/comments?per_page=100&page=%d",
			t.Repository.Owner, t.Repository.Name, t.Pull, page), nil)
		if err != nil {
			return 0, err
		}
		var comments []struct {
			ID   int64  `json:"id"`
			Body string `json:"body"`
			By   *struct {
				ID int64 `json:"id"`
			} `json:"performed_via_github_app"`
		}
		resp, err := client.Do(ctx, req, &comments)
		if err != nil {
			return 0, fmt.Errorf("comments on pull request %d: %w", t.Pull, err)
		}
		for _, c := range comments {
			if c.By != nil && c.By.ID == us.ID && strings.HasPrefix(c.Body, markdown.Marker) {
				return c.ID, nil
			}
		}
		page = resp.NextPage
	}
	return 0, nil
}

func (a *App) showOnCommit(ctx context.Context, key string, t builder.Thread) error {
	var s spoken
	if _, err := a.ledger().Recall(ctx, key, &s); err != nil {
		return err
	}
	var fresh []builder.Remark
	seq := s.Seq
	for _, r := range t.Remarks {
		if r.Seq > s.Seq && r.Text != "" {
			fresh = append(fresh, r)
			seq = max(seq, r.Seq)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	client, err := a.client(ctx, t.Repository, need{"contents": "read"})
	if err != nil {
		return err
	}
	comment := &github.RepositoryComment{Body: github.String(markdown.Thread(fresh))}
	if _, _, err := client.Repositories.CreateComment(ctx, t.Repository.Owner, t.Repository.Name, t.Commit, comment); err != nil {
		return fmt.Errorf("comment on commit %s: %w", t.Commit, err)
	}
	s.Seq = seq
	return a.ledger().Remember(ctx, key, s)
}

// React implements builder.Commenter. Comments on commits get no reaction:
// GitHub wants the right to write contents for it, and there is the answer.
func (a *App) React(ctx context.Context, repo builder.Repository, c builder.Command, refused bool) error {
	id, err := strconv.ParseInt(c.Comment, 10, 64)
	if err != nil || c.Pull == 0 {
		return nil
	}
	reaction := "+1"
	if refused {
		reaction = "confused"
	}
	// GitHub's documentation asks for the one, its answers for the other.
	client, err := a.client(ctx, repo, need{"issues": "write", "pull_requests": "write"})
	if lacksPermission(err) {
		client, err = a.client(ctx, repo, need{"pull_requests": "write"})
	}
	if err == nil {
		_, _, err = client.Reactions.CreateIssueCommentReaction(repeatable(quota.Urgent(ctx)), repo.Owner, repo.Name, id, reaction)
	}
	if lacksPermission(err) || answeredWith(err) == http.StatusNotFound {
		return nil // the comment is deleted: nobody waits
	}
	return a.ledger().Settle(ctx, repo, "comment "+c.Comment, err)
}
