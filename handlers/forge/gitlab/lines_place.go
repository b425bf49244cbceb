package gitlab

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/xanzy/go-gitlab"
)

// maxDiffPages is how far we look for a file in a merge request's changes, 100
// files a page; GitLab shows 3,000 at most.
const maxDiffPages = 10

// position is where the line is in the changes of the merge request; nil when
// it is in none of them. A line that was not changed is named by both its
// numbers, or GitLab does not find it.
// https://docs.gitlab.com/api/discussions/#create-a-new-thread-in-the-merge-request-diff
func (l *lines) position(ctx context.Context, mr *gitlab.MergeRequest, t trouble) (*gitlab.PositionOptions, error) {
	refs := mr.DiffRefs // empty while GitLab works them out
	if refs.HeadSha != t.Commit || refs.BaseSha == "" || refs.StartSha == "" {
		return nil, nil
	}
	change, err := l.change(ctx, mr.IID, t.File)
	if err != nil || change == nil || change.DeletedFile {
		return nil, err
	}
	p := &gitlab.PositionOptions{
		BaseSHA: gitlab.Ptr(refs.BaseSha), StartSHA: gitlab.Ptr(refs.StartSha), HeadSHA: gitlab.Ptr(refs.HeadSha),
		PositionType: gitlab.Ptr("text"), NewPath: gitlab.Ptr(change.NewPath), OldPath: gitlab.Ptr(change.OldPath), NewLine: gitlab.Ptr(t.Line),
	}
	if before, ok := oldLine(change.Diff, t.Line); ok {
		p.OldLine = gitlab.Ptr(before)
	}
	return p, nil
}

// change is what the merge request changes in the file, nil for nothing.
func (l *lines) change(ctx context.Context, number int, file string) (*gitlab.MergeRequestDiff, error) {
	o := &gitlab.ListMergeRequestDiffsOptions{ListOptions: gitlab.ListOptions{PerPage: 100, Page: 1}}
	for range maxDiffPages {
		all, resp, err := l.forge.api.MergeRequests.ListMergeRequestDiffs(l.about.project, number, o, with(once(ctx)))
		if code := answeredWith(err); code == http.StatusNotFound || code == http.StatusForbidden {
			return nil, nil // servers before 15.7 have no such list
		}
		if err != nil {
			return nil, fmt.Errorf("changes of merge request %d: %w", number, err)
		}
		for _, d := range all {
			if d.NewPath == file {
				return d, nil
			}
		}
		if resp.NextPage == 0 {
			break
		}
		o.Page = resp.NextPage
	}
	return nil, nil
}

var hunk = regexp.MustCompile(`^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@`)

// oldLine is the number that a line of the new file had in the old one; false
// for a line that is new, and where the changes are not told.
func oldLine(diff string, line int) (int, bool) {
	before, after := 0, 0 // numbers of the next line, in a hunk
	for text := range strings.SplitSeq(strings.TrimSuffix(diff, "\n"), "\n") {
		if m := hunk.FindStringSubmatch(text); m != nil {
			newBefore, _ := strconv.Atoi(m[1])
			newAfter, _ := strconv.Atoi(m[2])
			if line < newAfter {
				break // between the hunks
			}
			before, after = newBefore, newAfter
			continue
		}
		switch {
		case strings.HasPrefix(text, "+"):
			if after == line {
				return 0, false
			}
			after++
		case strings.HasPrefix(text, "-"):
			before++
		case strings.HasPrefix(text, `\`): // the file does not end in a line end
		default:
			if after == line {
				return before, true
			}
			before++
			after++
		}
	}
	moved := line + before - after
	return moved, diff != "" && moved > 0
}

// find looks for our thread of that mark in the merge request, "" when there
// is none. Whoever copies the mark is not us.
func (l *lines) find(ctx context.Context, number int, mark string) (id string, err error) {
	us, err := l.forge.Check(ctx)
	if err != nil {
		return "", err
	}
	o := &gitlab.ListMergeRequestDiscussionsOptions{PerPage: 100, Page: 1}
	for o.Page != 0 {
		all, resp, err := l.forge.api.Discussions.ListMergeRequestDiscussions(l.about.project, number, o, with(ctx))
		if err != nil {
			return "", fmt.Errorf("threads of merge request %d: %w", number, err)
		}
		for _, d := range all {
			if len(d.Notes) > 0 && d.Notes[0].Author.ID == us.ID && strings.HasPrefix(d.Notes[0].Body, mark) {
				return d.ID, nil
			}
		}
		o.Page = resp.NextPage
	}
	return "", nil
}

// comment tells the commit, once, where there is no merge request to tell.
// GitLab puts it at the line if the commit has changed that, so the text names
// it as well. https://docs.gitlab.com/api/commits/#post-comment-to-commit
func (l *lines) comment(ctx context.Context, t trouble) error {
	key := l.forge.ledger.Key("comment/" + l.report.Repository.Key() + "/" + l.report.Commit + "/" + t.print())
	var c commented
	begun, err := l.forge.ledger.Recall(ctx, key, &c)
	if err != nil || c.Made {
		return err
	}
	if begun {
		c.Made, err = l.findComment(ctx, t.marker())
	} else {
		err = l.forge.ledger.Remember(ctx, key, c)
	}
	if err != nil {
		return err
	}
	if !c.Made {
		_, _, err := l.forge.api.Commits.PostCommitComment(l.about.project, l.report.Commit, &gitlab.PostCommitCommentOptions{
			Note: gitlab.Ptr(t.body()), Path: gitlab.Ptr(t.File), Line: gitlab.Ptr(t.Line), LineType: gitlab.Ptr("new"),
		}, with(ctx))
		if err != nil {
			return fmt.Errorf("comment on commit %s: %w", l.report.Commit, err)
		}
	}
	return l.forge.ledger.Remember(ctx, key, commented{Made: true})
}

// commented is kept before the comment is made, so that after a crash it is
// looked for.
type commented struct {
	Made bool `json:"made"`
}

func (l *lines) findComment(ctx context.Context, mark string) (bool, error) {
	us, err := l.forge.Check(ctx)
	if err != nil {
		return false, err
	}
	o := &gitlab.GetCommitCommentsOptions{PerPage: 100, Page: 1}
	for o.Page != 0 {
		all, resp, err := l.forge.api.Commits.GetCommitComments(l.about.project, l.report.Commit, o, with(ctx))
		if err != nil {
			return false, fmt.Errorf("comments on commit %s: %w", l.report.Commit, err)
		}
		for _, c := range all {
			if c.Author.ID == us.ID && strings.HasPrefix(c.Note, mark) {
				return true, nil
			}
		}
		o.Page = resp.NextPage
	}
	return false, nil
}
