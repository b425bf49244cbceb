package store

import (
	"context"
	"fmt"
	"strconv"

	"github.com/registry-build/registry-build/builder"
)

// threadLength is how many remarks a thread keeps.
const threadLength = 20

// Remark implements builder.Told. Remarks come back by the number of their
// event, then by topic. When there are too many the oldest answers go; what
// stands (the topics of builder) stays. A remark without Text drops its topic;
// an older remark that comes late changes nothing. Adding the same again
// changes nothing, except that Shown is true then. A thread is forgotten
// Options.Builds after its last change.
func (s *Store) Remark(ctx context.Context, t builder.Thread, remarks ...builder.Remark) (builder.Thread, error) {
	id := t.Commit
	if t.Pull > 0 {
		id = strconv.Itoa(t.Pull)
	}
	args := []any{t.Repository.Key(), id, threadLength, ms(s.opts.Builds)}
	for _, r := range remarks {
		text := ""
		if r.Text != "" {
			var err error
			if text, err = encode(r); err != nil {
				return t, err
			}
		}
		kind := "answer"
		switch r.Topic {
		case builder.TopicFork, builder.TopicChanges, builder.TopicTags:
			kind = "standing"
		}
		args = append(args, r.Topic, r.Seq, text, kind)
	}
	answer, err := s.run(ctx, s.scripts.remark, args...)
	if err != nil {
		return t, fmt.Errorf("thread %s of %s: %w", id, t.Repository.Key(), err)
	}
	t.Shown = answer.number(0) == 1
	t.Remarks = nil
	for _, text := range answer.list(1).texts() {
		var r builder.Remark
		if err := decode(text, &r); err != nil {
			return t, fmt.Errorf("thread %s of %s: %w", id, t.Repository.Key(), err)
		}
		t.Remarks = append(t.Remarks, r)
	}
	return t, nil
}

// Latest implements builder.Past. What somebody built by hand counts as little
// as commands do, and so does an event that was overtaken. A closed pull
// request keeps what its last change came to; a deleted ref has none. It is
// known for Options.Builds.
func (s *Store) Latest(ctx context.Context, repoKey, ref string) (builder.Decision, error) {
	id, err := s.client.Get(ctx, latestKey(repoKey, ref)).Result()
	if err != nil {
		return builder.Decision{}, fmt.Errorf("latest event of %s in %s: %w", ref, repoKey, classify(ctx, err))
	}
	return s.Decision(ctx, id)
}
