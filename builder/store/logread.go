package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/registry-build/registry-build/builder"
)

// logPage is how many entries are read at a time.
const logPage = 64

// ReadLog returns a build's log after the chunk with the id after ("" from
// the beginning). With follow it waits for more, and ends when the build is
// terminal and all was returned. Ids are the same for a growing and a finished
// log. Where a log was too long to keep, one chunk tells how much is missing.
// The error is builder.ErrNotFound for an unknown build; it is the last pair.
func (s *Store) ReadLog(ctx context.Context, id, after string, follow bool) iter.Seq2[builder.LogChunk, error] {
	return func(yield func(builder.LogChunk, error) bool) {
		last, err := parseChunkID(after)
		if err != nil {
			yield(builder.LogChunk{}, fmt.Errorf("log of build %s: %w", id, err))
			return
		}
		for {
			page, ended, err := s.nextPage(ctx, id, last, follow)
			if err != nil {
				yield(builder.LogChunk{}, fmt.Errorf("log of build %s: %w", id, err))
				return
			}
			for _, e := range page {
				if !yield(builder.LogChunk{ID: strconv.FormatInt(e.n, 10), Data: e.data}, nil) {
					return
				}
				last = e.n
			}
			if ended {
				return
			}
		}
	}
}

func parseChunkID(id string) (int64, error) {
	if id == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("no place in the log is called %q: %w", id, builder.ErrNotFound)
	}
	return n, nil
}

// nextPage reads on after an entry. It returns nothing only together with
// ended.
func (s *Store) nextPage(ctx context.Context, id string, after int64, follow bool) (page []logEntry, ended bool, err error) {
	try := func() (bool, time.Duration, error) {
		// The state first: what is written before a build ends is then in
		// the page, or the build was not terminal yet.
		state, err := s.client.HGet(ctx, buildKey(id), "state").Result()
		if err != nil {
			return false, 0, classify(ctx, err)
		}
		var sealed bool
		page, sealed, err = s.readPage(ctx, id, after)
		if err != nil {
			return false, 0, err
		}
		ended = sealed || len(page) == 0 && (!follow || builder.State(state).Terminal())
		return ended || len(page) > 0, 0, nil
	}
	if follow {
		err = s.await(ctx, try, topicLog(id), topicBuild(id))
	} else {
		_, _, err = try()
	}
	return page, ended, err
}

// readPage returns entries of a growing log, or all of a sealed one.
func (s *Store) readPage(ctx context.Context, id string, after int64) (page []logEntry, sealed bool, err error) {
	meta, entries, err := s.readStream(ctx, id, after)
	if err != nil {
		return nil, false, err
	}
	if meta.sealed {
		all, err := s.readFrame(ctx, id)
		if errors.Is(err, builder.ErrNotFound) {
			return nil, true, nil // it stayed as long as logs stay
		}
		if err != nil {
			return nil, false, err
		}
		for len(all) > 0 && all[0].n <= after {
			all = all[1:]
		}
		return all, true, nil
	}
	return meta.withNote(entries, after), false, nil
}

// logMeta is what a log knows of itself.
type logMeta struct {
	cut    int64 // bytes that were left out
	cutTo  int64 // number of the last entry that was
	sealed bool
}

// withNote puts the note about what was left out where that was, under the
// last missing entry's number: who has read as far as that never sees it.
func (m logMeta) withNote(entries []logEntry, after int64) []logEntry {
	if m.cutTo == 0 || after >= m.cutTo {
		return entries
	}
	for i, e := range entries {
		if e.n > m.cutTo {
			note := logEntry{n: m.cutTo, data: fmt.Appendf(nil,
				"\n[registry-build] %s of the log are left out here\n", humanBytes(m.cut))}
			return append(entries[:i:i], append([]logEntry{note}, entries[i:]...)...)
		}
	}
	return entries
}

func humanBytes(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}

// readStream reads what a log knows of itself and a page of it, at one
// moment.
func (s *Store) readStream(ctx context.Context, id string, after int64) (logMeta, []logEntry, error) {
	pipe := s.client.TxPipeline()
	metaCmd := pipe.HMGet(ctx, logMetaKey(id), logMetaFields()...)
	pageCmd := pipe.XRangeN(ctx, logKey(id), fmt.Sprintf("(%d-%d", after, uint64(math.MaxUint64)), "+", logPage)
	if _, err := pipe.Exec(ctx); err != nil {
		return logMeta{}, nil, classify(ctx, err)
	}
	entries, err := decodeEntries(pageCmd.Val())
	return decodeLogMeta(metaCmd), entries, err
}

// logMetaFields are what decodeLogMeta reads.
func logMetaFields() []string { return []string{"cut", "cut_to", "sealed"} }

func decodeLogMeta(cmd *redis.SliceCmd) logMeta {
	m := reply(cmd.Val())
	var meta logMeta
	meta.cut, _ = strconv.ParseInt(m.text(0), 10, 64) // absent: 0
	meta.cutTo, _ = strconv.ParseInt(m.text(1), 10, 64)
	meta.sealed = m.text(2) != ""
	return meta
}

func decodeEntries(messages []redis.XMessage) ([]logEntry, error) {
	entries := make([]logEntry, 0, len(messages))
	for _, m := range messages {
		number, _, _ := strings.Cut(m.ID, "-")
		n, err := strconv.ParseInt(number, 10, 64)
		data, ok := m.Values["d"].(string)
		if err != nil || !ok {
			return nil, fmt.Errorf("entry %s is not a log's", m.ID)
		}
		entries = append(entries, logEntry{n: n, data: []byte(data)})
	}
	return entries, nil
}
