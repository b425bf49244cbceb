package store

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/redis/go-redis/v9"

	"github.com/registry-build/registry-build/builder"
)

var (
	_ builder.Inbox  = (*Store)(nil)
	_ builder.Queue  = (*Store)(nil)
	_ builder.Inputs = (*Store)(nil)
	_ builder.Logs   = (*Store)(nil)
	_ builder.Outbox = (*Store)(nil)
	_ builder.Past   = (*Store)(nil)
	_ builder.Told   = (*Store)(nil)
)

// Options of a store. The zero value of a field takes its default.
type Options struct {
	Lease         time.Duration // of a build or event without a heartbeat; default 15 s
	EffectLease   time.Duration // of an effect that nobody holds on to; default 15 s
	TagLease      time.Duration // of an image repository's tags; default 15 s
	Host          string        // the embedded registry's: pushes to its images are known without it
	PerRepository int           // builds of one repository that may run at a time; default 1
	MaxAttempts   int           // leases that a build may lose, and one more to be given up in order; default 3
	Poll          time.Duration // how often waiting calls look without being woken; default 1 s

	Events time.Duration // how long decided events stay, and deliveries are known; default 7 days
	Builds time.Duration // … builds, statuses, trigger runs and input keys; default 90 days
	Logs   time.Duration // … logs, after their last line; default 30 days

	LogHead int // bytes kept of a log's beginning; default 256 KiB
	LogTail int // … and of its end; default 16 MiB

	Log *slog.Logger // default: none
}

const day = 24 * time.Hour

func (o Options) withDefaults() Options {
	setDefault(&o.Lease, 15*time.Second)
	setDefault(&o.EffectLease, 15*time.Second)
	setDefault(&o.TagLease, 15*time.Second)
	setDefault(&o.PerRepository, 1)
	setDefault(&o.MaxAttempts, 3)
	setDefault(&o.Poll, time.Second)
	setDefault(&o.Events, 7*day)
	setDefault(&o.Builds, 90*day)
	setDefault(&o.Logs, 30*day)
	setDefault(&o.LogHead, 256<<10)
	setDefault(&o.LogTail, 16<<20)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

func setDefault[T int | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// Store is everything in Redis. Its methods may be called concurrently, by
// any number of processes.
type Store struct {
	client  redis.UniversalClient
	opts    Options
	scripts *scripts
	wakes   *wakes
	encoder *zstd.Encoder
	decoder *zstd.Decoder

	mu      sync.Mutex
	writers map[writerKey]*logWriter // logs that this process writes
}

// New returns a store on the client, which stays the caller's to close. Run
// must run for it to be quick.
func New(client redis.UniversalClient, opts Options) *Store {
	// Neither fails without options that could be wrong.
	encoder, _ := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	decoder, _ := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0))
	return &Store{
		client:  client,
		opts:    opts.withDefaults(),
		scripts: loadScripts(),
		wakes:   &wakes{waiting: make(map[string]map[*waiter]struct{})},
		encoder: encoder,
		decoder: decoder,
		writers: make(map[writerKey]*logWriter),
	}
}

// Ping reports whether the server answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("ping redis: %w", classify(ctx, err))
	}
	return nil
}

func ms(d time.Duration) int64 { return d.Milliseconds() }

func encode(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode %T: %w", v, err)
	}
	return string(b), nil
}

func decode(text string, v any) error {
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return fmt.Errorf("decode %T: %w", v, err)
	}
	return nil
}
