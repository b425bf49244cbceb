package trigger

import (
	"slices"
	"strings"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
)

// Due names the triggers that a finished build sets off, in the file's order.
// last is how the image's build before it on the same ref ended.
//
//	pushed     at least one tag that the trigger selects names the digest now
//	           and did not before: a tag that was held back, or put again on
//	           the same digest, fires nothing; also by somebody's own push
//	failed     the build failed
//	recovered  the build before this one failed, and this one did not
//
// The last two look at the tags that the build was to put, so a build without
// tags, of a pull request for instance, fires nothing. Cancelled, superseded
// and skipped builds fire nothing.
func Due(r builder.Record, last builder.State) []string {
	var names []string
	for _, t := range r.Triggers {
		if len(events(t, r, last)) > 0 {
			names = append(names, t.Name)
		}
	}
	return names
}

// events lists what has happened of that the trigger listens for.
func events(t config.Trigger, r builder.Record, last builder.State) []config.Outcome {
	var out []config.Outcome
	for _, on := range []config.Outcome{config.OnPushed, config.OnFailed, config.OnRecovered} {
		if listens(t, on) && happened(on, r, last) && len(selected(t, on, r)) > 0 {
			out = append(out, on)
		}
	}
	return out
}

// listens knows the default: pushed.
func listens(t config.Trigger, on config.Outcome) bool {
	return slices.Contains(t.On, on) || len(t.On) == 0 && on == config.OnPushed
}

func happened(on config.Outcome, r builder.Record, last builder.State) bool {
	built := r.State == builder.Succeeded || r.State == builder.Promoted || r.State == builder.Pushed
	switch on {
	case config.OnPushed:
		return built
	case config.OnFailed:
		return r.State == builder.Failed
	case config.OnRecovered:
		return built && last == builder.Failed
	}
	return false
}

// selected lists the tags of the build that the trigger is for: none that only
// a file without authority gives.
func selected(t config.Trigger, on config.Outcome, r builder.Record) []string {
	var tags []string
	if on != config.OnPushed {
		tags = slices.Clone(r.Tags)
	} else {
		for _, o := range r.Tagged {
			if o.Moved && !o.Quiet {
				tags = append(tags, o.Tag)
			}
		}
	}
	return slices.DeleteFunc(tags, func(tag string) bool { return !t.Tags.Match(tag) || slices.Contains(r.Quiet, tag) })
}

// firing is what a due trigger tells. The build's end is not told twice: one
// that pushed and recovered tells pushed where the trigger listens for it.
func firing(t config.Trigger, r builder.Record, attempt int) Firing {
	f := Firing{Trigger: t, Record: r, Delivery: delivery(r, t), Attempt: max(attempt, 1), Event: config.OnRecovered}
	// That it is due was decided when the build ended; last is not kept, and
	// recovered is what remains.
	if on := events(t, r, ""); len(on) > 0 {
		f.Event = on[0]
	}
	f.Tags = selected(t, f.Event, r)
	return f
}

// condition is when the trigger fires, as people wrote it.
func condition(t config.Trigger) string {
	on := make([]string, len(t.On))
	for i, o := range t.On {
		on[i] = string(o)
	}
	if len(on) == 0 {
		on = []string{string(config.OnPushed)}
	}
	return "on " + strings.Join(on, ", ") + ", tags " + t.Tags.String()
}
