package gitlab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/markdown"
	"github.com/registry-build/registry-build/handlers/forge/quota"
	"github.com/registry-build/registry-build/handlers/forge/telling"
)

// table is how the builds of a merge request's newest commit fare.
type table struct {
	Commit string     `json:"commit"`
	Seq    int64      `json:"seq"` // the newest that was reported of the commit
	Link   string     `json:"link"`
	Rows   []tableRow `json:"rows,omitempty"` // by context
	// All is what all builds come to together. It stands where there are no
	// rows: where nothing is built, and why.
	All tableRow `json:"all"`
}

// tableRow is the newest report of one context. Its texts are Markdown.
type tableRow struct {
	telling.Order
	Context string `json:"context,omitempty"`
	Phase   string `json:"phase,omitempty"`
	Ended   bool   `json:"ended,omitempty"`
	State   string `json:"state,omitempty"`
	About   string `json:"about,omitempty"`
	Log     string `json:"log,omitempty"` // address
}

// noteBuild keeps the table of builds in the note of the merge requests that a
// report is about. A report that belongs to none changes nothing.
func (f *Forge) noteBuild(ctx context.Context, r builder.Report) error {
	if !r.Newest {
		return nil
	}
	boards, err := f.shownOn(ctx, r)
	if err != nil {
		return err
	}
	if telling.Ended(r) {
		ctx = quota.Urgent(ctx)
	}
	row := f.tableRow(r)
	var errs []error
	for _, on := range boards {
		errs = append(errs, f.revise(ctx, f.board(r.Repository, on.pull, ""), func(n *note, _ bool) (revision, error) {
			return f.tabulate(ctx, n, r, row, on)
		}))
	}
	return errors.Join(errs...)
}

// tabulate puts the row into the note's table, or begins a table with it.
func (f *Forge) tabulate(ctx context.Context, n *note, r builder.Report, row tableRow, on shownOn) (revision, error) {
	all := r.Context == builder.AggregateContext
	switch t := n.Table; {
	case t == nil && all:
		return nothing, nil // a note begins with the first build
	case t == nil || t.Commit != r.Commit && t.Seq <= r.Seq:
		if !on.head {
			p, err := f.Pull(ctx, r.Repository, on.pull)
			if err != nil {
				return nothing, err
			}
			if p.Head != r.Commit {
				return nothing, nil // somebody builds an older commit once more
			}
		}
		n.Table = &table{Commit: r.Commit, Link: f.website(r.Repository) + "/-/commit/" + r.Commit}
	case t.Commit != r.Commit:
		return nothing, nil
	}
	return n.Table.set(r, row, all), nil
}

// set puts the row where it belongs. A commit's first row, and a new state,
// are shown at once.
func (t *table) set(r builder.Report, row tableRow, all bool) revision {
	t.Seq = max(t.Seq, r.Seq)
	if all {
		if t.All.Outdates(r) {
			return nothing
		}
		t.All = row
		if len(t.Rows) > 0 {
			return remember
		}
		return atOnce
	}
	i, known := slices.BinarySearchFunc(t.Rows, row.Context, func(r tableRow, context string) int { return strings.Compare(r.Context, context) })
	switch {
	case !known:
		t.Rows = slices.Insert(t.Rows, i, row)
		return atOnce
	case t.Rows[i].Outdates(r):
		return nothing
	}
	before := t.Rows[i]
	t.Rows[i] = row
	if row.Ended || before.Phase != row.Phase {
		return atOnce
	}
	return inTime
}

// maxTableRows is how many rows anybody reads.
const maxTableRows = 50

func (t *table) markdown() string {
	commit := fmt.Sprintf("[%s](%s)", markdown.Code(t.Commit[:min(len(t.Commit), 8)]), t.Link)
	if len(t.Rows) == 0 {
		return markdown.Harmless(fmt.Sprintf("%s %s: %s", t.All.State, commit, t.All.About))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Images of %s:\n\n| Image | State | | |\n|---|---|---|---|", commit)
	for i, row := range t.Rows {
		if i == maxTableRows {
			fmt.Fprintf(&b, "\n| and %d more | | | |", len(t.Rows)-i)
			break
		}
		log := ""
		if row.Log != "" {
			log = "[log](" + row.Log + ")"
		}
		image := strings.TrimPrefix(strings.TrimPrefix(row.Context, builder.AggregateContext), "/")
		fmt.Fprintf(&b, "\n| %s | %s | %s | %s |", markdown.CodeCell(markdown.Clip(image, 120)), row.State, row.About, log)
	}
	return markdown.Harmless(b.String())
}
