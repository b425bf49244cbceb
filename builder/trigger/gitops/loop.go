package gitops

import (
	"context"
	"slices"
	"strings"
)

// doneBefore ends the circle of a build that writes to its own repository,
// which is a push, which is a build: a commit of ours changes no code. The
// build of such a commit writes nothing where the image of the same code was
// written already, by the build of the commit below or of another one of ours
// on it. It does write where somebody pushed between, whose own build may have
// been superseded by ours.
func (u *update) doneBefore(ctx context.Context, s setting) (bool, error) {
	if s.Commit == "" {
		return false, nil
	}
	known := slices.ContainsFunc(u.history, func(p past) bool { return p.commit == s.Commit })
	if !known {
		if u.repo.ID == "" || u.repo.Key() != s.Source {
			return false, nil // no commit of this repository
		}
		if u.c.fetch(ctx, s.Commit) != nil {
			return false, ctx.Err() // it is gone: nobody builds it again
		}
	}
	line, err := u.c.log(ctx, s.Commit, u.now, true)
	if err != nil {
		return false, err
	}
	same := map[string]bool{}
	var wrote []setting
	for i, p := range line {
		same[p.commit] = true
		settings, err := u.wrote(ctx, p)
		if err != nil {
			return false, err
		}
		if len(settings) == 0 || i+1 == len(line) {
			break
		}
		wrote = append(wrote, settings...)
	}
	return slices.ContainsFunc(wrote, func(o setting) bool {
		return o.field() == s.field() && o.Source == s.Source && same[o.Commit]
	}), nil
}

// wrote is what a commit set that changes nothing else: one of ours, or the
// merge of one.
func (u *update) wrote(ctx context.Context, p past) ([]setting, error) {
	settings := p.settings
	if len(settings) == 0 && len(p.parents) == 2 {
		for _, h := range u.history {
			if h.commit == p.parents[1] {
				settings = h.settings
			}
		}
	}
	if len(settings) == 0 || len(p.parents) == 0 {
		return nil, nil
	}
	out, err := u.c.run(ctx, "", "diff-tree", "-r", "-z", "--name-only", "--no-renames", p.parents[0], p.commit)
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, nil // below what is known of the history
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		if !slices.ContainsFunc(settings, func(s setting) bool { return s.File == name }) {
			return nil, nil
		}
	}
	return settings, nil
}
