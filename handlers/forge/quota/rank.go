package quota

import "context"

// Rank says how long a call may be put off, and so how much of a limit it
// leaves to others.
type Rank int

const (
	Ordinary   Rank = iota
	IsUrgent        // a result, or an answer to a person
	Background      // a look for what was missed
)

type contextKey int

const (
	urgentKey contextKey = iota
	backgroundKey
)

// Urgent marks calls that must not wait behind others: how a build ended, and
// answers to people. They may use what is kept back of the budget.
func Urgent(ctx context.Context) context.Context { return context.WithValue(ctx, urgentKey, true) }

// InBackground marks calls that can wait for the next round: they leave most
// of the budget to builds.
func InBackground(ctx context.Context) context.Context {
	return context.WithValue(ctx, backgroundKey, true)
}

// RankOf is what a call was marked as; what is both is urgent.
func RankOf(ctx context.Context) Rank {
	switch {
	case ctx.Value(urgentKey) != nil:
		return IsUrgent
	case ctx.Value(backgroundKey) != nil:
		return Background
	}
	return Ordinary
}
