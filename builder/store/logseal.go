package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
)

// logEntry is one entry of a log; numbers grow, with gaps where it was cut.
type logEntry struct {
	n    int64
	data []byte
}

// sealAll compresses the logs of builds that have ended. It is tidying up: an
// error is logged, and the stream is read instead until it expires.
func (s *Store) sealAll(ctx context.Context, ids []string) {
	for _, id := range ids {
		if err := s.seal(ctx, id); err != nil {
			s.opts.Log.WarnContext(ctx, "log stays uncompressed", "build", id, "err", err)
		}
	}
}

// seal closes a log and puts one zstd frame in the stream's place.
func (s *Store) seal(ctx context.Context, id string) error {
	keys := []string{logKey(id), logMetaKey(id), logFrameKey(id)}
	r, err := runOn(ctx, s.client, s.scripts.logSeal, keys, ms(s.opts.Logs))
	if err != nil || r.number(0) == 0 {
		return err
	}
	var all []logEntry
	after := int64(0)
	for {
		meta, page, err := s.readStream(ctx, id, after)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		next := page[len(page)-1].n
		all = append(all, meta.withNote(page, after)...)
		after = next
	}
	if len(all) == 0 { // somebody else sealed it meanwhile
		return nil
	}
	frame := s.encoder.EncodeAll(packEntries(all), nil)
	_, err = runOn(ctx, s.client, s.scripts.logSeal, keys, ms(s.opts.Logs), frame)
	return err
}

// readFrame reads a sealed log.
func (s *Store) readFrame(ctx context.Context, id string) ([]logEntry, error) {
	frame, err := s.client.Get(ctx, logFrameKey(id)).Bytes()
	if err != nil {
		return nil, classify(ctx, err)
	}
	packed, err := s.decoder.DecodeAll(frame, nil)
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	return unpackEntries(packed)
}

// packEntries writes each entry as number, length (both unsigned varints) and
// data.
func packEntries(entries []logEntry) []byte {
	var out []byte
	for _, e := range entries {
		out = binary.AppendUvarint(out, uint64(e.n))
		out = binary.AppendUvarint(out, uint64(len(e.data)))
		out = append(out, e.data...)
	}
	return out
}

var errFrame = errors.New("the compressed log is damaged")

func unpackEntries(packed []byte) ([]logEntry, error) {
	var entries []logEntry
	for len(packed) > 0 {
		n, used := binary.Uvarint(packed)
		if used <= 0 {
			return nil, errFrame
		}
		packed = packed[used:]
		size, used := binary.Uvarint(packed)
		if used <= 0 || size > uint64(len(packed)-used) {
			return nil, errFrame
		}
		packed = packed[used:]
		entries = append(entries, logEntry{n: int64(n), data: packed[:size:size]})
		packed = packed[size:]
	}
	return entries, nil
}
