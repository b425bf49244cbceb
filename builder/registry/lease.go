package registry

import (
	"context"
	"errors"
	"time"

	"github.com/registry-build/registry-build/builder"
)

// lease is a repository that the ledger leased to us, extended until end is
// called.
type lease struct {
	token string
	// while returns a context that also ends when the lease is lost, with
	// builder.ErrLeaseLost as its cause.
	while func(context.Context) context.Context
	// end stops extending and gives the lease back.
	end func()
}

// keep extends the lease in the background, also after ctx has ended: tags
// may have to be put back then.
func (c *Client) keep(ctx context.Context, repository, token string) lease {
	ctx = context.WithoutCancel(ctx)
	held, lose := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.extend(held, lose, repository, token)
	}()
	return lease{
		token: token,
		while: func(ctx context.Context) context.Context {
			ctx, cancel := context.WithCancelCause(ctx)
			context.AfterFunc(held, func() { cancel(context.Cause(held)) })
			return ctx
		},
		end: func() {
			lose(nil)
			<-done
			ctx, cancel := context.WithTimeout(ctx, unlockLimit)
			defer cancel()
			if err := c.ledger.Unlock(ctx, repository, token); err != nil {
				c.log.WarnContext(ctx, "give back the lease of a repository's tags", "repository", repository, "err", err)
			}
		},
	}
}

// extend runs until the lease is given back or lost: somebody else has it, or
// the ledger could not be reached for so long that somebody may.
func (c *Client) extend(ctx context.Context, lose context.CancelCauseFunc, repository, token string) {
	tick := time.NewTicker(c.renewEvery)
	defer tick.Stop()
	for extended := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		limited, cancel := context.WithTimeout(ctx, c.renewEvery)
		err := c.ledger.Extend(limited, repository, token)
		cancel()
		switch {
		case err == nil:
			extended = time.Now()
		case ctx.Err() != nil:
			return
		case errors.Is(err, builder.ErrLeaseLost), time.Since(extended) >= leaseTimes*c.renewEvery:
			lose(builder.ErrLeaseLost)
			return
		default:
			c.log.WarnContext(ctx, "extend the lease of a repository's tags", "repository", repository, "err", err)
		}
	}
}
