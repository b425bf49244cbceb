// Package telling keeps what forges are told in order. It hides how several
// processes and a crash between a call and its answer are kept from saying
// things twice, or an older thing after a newer, and what becomes of what a
// forge refuses. The adapters make the calls.
package telling

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/registry-build/registry-build/builder"
)

const (
	// Keep is how long we know what we made at a forge: as long as builds are
	// kept by default.
	Keep = 90 * 24 * time.Hour
	// holdAtMost is longer than a report may take.
	holdAtMost = 40 * time.Second
	// holdAgain is when a report that found another of the same commit and
	// context under way is made again.
	holdAgain = 300 * time.Millisecond
	// Patience is for what a forge does not know yet: commits and repositories
	// that it has just told us of.
	Patience      = 2 * time.Minute
	patienceAgain = 10 * time.Second
	suggestedFor  = 365 * 24 * time.Hour
)

// Memory keeps small facts across restarts and for every process: ids of what
// we made at a forge, and what was said once. Keys begin with what they are.
type Memory interface {
	// Recall returns "" for what is not known.
	Recall(ctx context.Context, key string) (string, error)
	Remember(ctx context.Context, key, value string, keep time.Duration) error
	// Claim remembers the value unless the key has one, and returns whether
	// it did.
	Claim(ctx context.Context, key, value string, keep time.Duration) (bool, error)
}

// Ledger is what one forge was told. All of it may be used concurrently.
type Ledger struct {
	Memory   Memory
	Forge    string              // instance; all keys begin with it
	Name     string              // the forge as people know it, for the operator's log
	Answered func(err error) int // the HTTP status that a call's error is an answer with; 0: it is none
	Now      func() time.Time
	Log      *slog.Logger
}

// Key names something that is remembered: status/…
func (l *Ledger) Key(what string) string { return l.Forge + ":" + what }

// Hold lets one report of a subject through at a time, in all processes: the
// newer of two must not be followed by the older. A builder.Later while
// another one is under way.
func (l *Ledger) Hold(ctx context.Context, subject string) (release func(), err error) {
	key := l.Key("busy/" + subject)
	free, err := l.Memory.Claim(ctx, key, l.Now().UTC().Format(time.RFC3339), holdAtMost)
	if err != nil {
		return nil, err
	}
	if !free {
		return nil, builder.Later{Wait: holdAgain, Reason: "another report of the same is under way"}
	}
	return func() {
		if err := l.Memory.Remember(context.WithoutCancel(ctx), key, "", time.Millisecond); err != nil {
			l.Log.Debug("release report", "err", err) // it ends by itself
		}
	}, nil
}

// Settle decides what an error of the forge's means. What it refuses is not
// asked for ever: a commit that it does not know yet has some time to arrive.
func (l *Ledger) Settle(ctx context.Context, repo builder.Repository, subject string, err error) error {
	if err == nil {
		return nil
	}
	var later builder.Later
	log := l.Log.With("repo", repo.FullName(), "about", subject)
	switch code := l.Answered(err); {
	case errors.As(err, &later):
		return err
	case errors.Is(err, builder.ErrNotFound):
		log.Debug("report dropped: the repository is gone, or not open to us", "err", err)
		return nil
	case code < http.StatusBadRequest || code >= http.StatusInternalServerError:
		return err
	case code == http.StatusUnauthorized || code == http.StatusRequestTimeout || code == http.StatusTooManyRequests:
		return err
	}
	key := l.Key("refused/" + subject)
	since, recallErr := l.Memory.Recall(ctx, key)
	if recallErr != nil {
		return recallErr
	}
	first, readErr := time.Parse(time.RFC3339, since)
	if readErr != nil {
		first = l.Now()
		if err := l.Memory.Remember(ctx, key, first.UTC().Format(time.RFC3339), time.Hour); err != nil {
			return err
		}
	}
	if l.Now().Sub(first) < Patience {
		return builder.Later{Wait: patienceAgain, Reason: err.Error()}
	}
	log.Warn(l.Name+" refuses a report", "err", err)
	return nil
}

// MaySuggest lets one commit of a repository tell that there is no build file.
func (l *Ledger) MaySuggest(ctx context.Context, r builder.Report) (bool, error) {
	key := l.Key("suggest/" + r.Repository.Key())
	first, err := l.Memory.Claim(ctx, key, r.Commit, suggestedFor)
	if err != nil || first {
		return first, err
	}
	commit, err := l.Memory.Recall(ctx, key)
	return commit == r.Commit, err // it is being told again, not another time
}

// Recall reads what was remembered as JSON; known is false when nothing was.
func (l *Ledger) Recall(ctx context.Context, key string, into any) (known bool, err error) {
	text, err := l.Memory.Recall(ctx, key)
	if err != nil || text == "" {
		return false, err
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return false, fmt.Errorf("memory of %s: %w", key, err)
	}
	return true, nil
}

// Remember keeps a value as JSON, as long as builds are kept.
func (l *Ledger) Remember(ctx context.Context, key string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return l.Memory.Remember(ctx, key, string(text), Keep)
}
