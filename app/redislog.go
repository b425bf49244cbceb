package app

import (
	"context"
	"fmt"
	"log/slog"
)

// redisLog takes what the Redis client would write to standard error by
// itself: a line for every dial while the server is away. The store says once
// that it waits, so these are for debugging.
type redisLog struct{ log *slog.Logger }

// Printf is what the client calls.
func (l redisLog) Printf(ctx context.Context, format string, v ...any) {
	l.log.DebugContext(ctx, fmt.Sprintf(format, v...))
}
