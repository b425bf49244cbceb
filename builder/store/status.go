package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/registry-build/registry-build/builder"
)

// PutStatus keeps a report as the status of its commit and context, unless
// one with a higher Seq, or of the same Seq and later, is there: then it is
// not the newest.
func (s *Store) PutStatus(ctx context.Context, r builder.Report) (newest bool, err error) {
	text, err := encode(r)
	if err != nil {
		return false, err
	}
	kept, err := s.run(ctx, s.scripts.putStatus, r.Repository.Key(), r.Commit, r.Context,
		r.Seq, max(0, r.UpdatedAt.UnixMicro()), text, ms(s.opts.Builds))
	if err != nil {
		return false, fmt.Errorf("status %s of %s: %w", r.Context, r.Commit, err)
	}
	return kept.number(0) == 1, nil
}

// Statuses returns the statuses of a commit, by context.
func (s *Store) Statuses(ctx context.Context, repoKey, commit string) ([]builder.Report, error) {
	all, err := s.client.HVals(ctx, statusKey(repoKey, commit)).Result()
	if err != nil {
		return nil, fmt.Errorf("statuses of %s: %w", commit, classify(ctx, err))
	}
	reports := make([]builder.Report, 0, len(all))
	for _, text := range all {
		var r builder.Report
		if parts := strings.SplitN(text, " ", 3); len(parts) == 3 {
			text = parts[2]
		}
		if err := decode(text, &r); err != nil {
			return nil, fmt.Errorf("statuses of %s: %w", commit, err)
		}
		reports = append(reports, r)
	}
	slices.SortFunc(reports, func(a, b builder.Report) int { return strings.Compare(a.Context, b.Context) })
	return reports, nil
}
