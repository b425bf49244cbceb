package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/registry-build/registry-build/builder/source"
)

const (
	mirrorsKept   = 30 * 24 * time.Hour // without being used
	mirrorsLooked = 24 * time.Hour      // how often
)

// mirrors is the housekeeping of what was fetched from forges.
type mirrors struct {
	sources *source.Sources
	log     *slog.Logger
}

// Run removes mirrors that nobody uses any more, at once and then every day,
// until ctx ends.
func (m mirrors) Run(ctx context.Context) error {
	tick := time.NewTicker(mirrorsLooked)
	defer tick.Stop()
	for {
		gone, err := m.sources.Prune(ctx, mirrorsKept)
		switch {
		case err != nil && ctx.Err() == nil:
			m.log.Warn("mirrors not pruned", "err", err) // tomorrow again
		case gone > 0:
			m.log.Info("mirrors pruned", "count", gone)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
