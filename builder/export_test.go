package builder

import "context"

// Round compares the active repositories once, and returns those that are to
// be seen again.
func (r *Reconciler) Round(ctx context.Context) []Repository { return r.round(ctx, r.active(ctx)) }
