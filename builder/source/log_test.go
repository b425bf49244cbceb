package source

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// counting is a log that counts fetches.
func counting(n *atomic.Int32) *slog.Logger { return slog.New(counter{n}) }

type counter struct{ n *atomic.Int32 }

func (c counter) Enabled(context.Context, slog.Level) bool { return true }
func (c counter) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "fetched" {
		c.n.Add(1)
	}
	return nil
}
func (c counter) WithAttrs([]slog.Attr) slog.Handler { return c }
func (c counter) WithGroup(string) slog.Handler      { return c }
