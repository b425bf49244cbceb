package store

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"
)

// tailPage is how many entries of a growing log are read at a time, from its
// end. An entry has up to 64 KiB.
const tailPage = 16

// LogTail returns the end of a build's log as it is now, at most limit bytes of
// it, and whether that leaves something out. A character is never cut, neither
// at the beginning nor where the log is still being written. A log that
// nothing was written to, or that is gone already, is "".
// builder.ErrNotFound for an unknown build.
func (s *Store) LogTail(ctx context.Context, id string, limit int) (text string, cut bool, err error) {
	if _, err := s.client.HGet(ctx, buildKey(id), "state").Result(); err != nil {
		return "", false, fmt.Errorf("log of build %s: %w", id, classify(ctx, err))
	}
	limit = max(limit, 0)
	entries, err := s.lastEntries(ctx, id, limit)
	if err != nil {
		return "", false, fmt.Errorf("log of build %s: %w", id, err)
	}
	var all []byte
	for _, e := range entries {
		all = append(all, e.data...)
	}
	all = wholeRunes(all)
	tail := lastBytes(all, limit)
	return string(tail), len(tail) < len(all), nil
}

// lastEntries returns the last entries of a log, all of them or more than
// limit bytes.
func (s *Store) lastEntries(ctx context.Context, id string, limit int) ([]logEntry, error) {
	var entries []logEntry // newest first
	size, end := 0, "+"
	for {
		pipe := s.client.TxPipeline()
		metaCmd := pipe.HMGet(ctx, logMetaKey(id), logMetaFields()...)
		pageCmd := pipe.XRevRangeN(ctx, logKey(id), end, "-", tailPage)
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, classify(ctx, err)
		}
		meta := decodeLogMeta(metaCmd)
		if meta.sealed { // possibly since the page before
			page, _, err := s.readPage(ctx, id, 0)
			return page, err
		}
		page, err := decodeEntries(pageCmd.Val())
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			size += len(e.data)
		}
		entries = append(entries, page...)
		if len(page) < tailPage || size > limit {
			slices.Reverse(entries)
			if len(entries) == 0 {
				return nil, nil
			}
			return meta.withNote(entries, entries[0].n-1), nil
		}
		end = "(" + strconv.FormatInt(page[len(page)-1].n, 10) + "-0"
	}
}

// lastBytes returns the whole runes in the last limit bytes.
func lastBytes(text []byte, limit int) []byte {
	if len(text) <= limit {
		return text
	}
	from := len(text) - limit
	for i := range utf8.UTFMax { // what is not UTF-8 has no better place
		if from+i >= len(text) || utf8.RuneStart(text[from+i]) {
			return text[from+i:]
		}
	}
	return text[from:]
}

// wholeRunes leaves out a rune that has begun at the end.
func wholeRunes(text []byte) []byte {
	for i := len(text) - 1; i >= 0 && i >= len(text)-utf8.UTFMax; i-- {
		if utf8.RuneStart(text[i]) {
			if !utf8.FullRune(text[i:]) {
				return text[:i]
			}
			break
		}
	}
	return text
}
