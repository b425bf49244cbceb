package plaingit

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/registry-build/registry-build/builder"
)

// event is one move of a ref; not ok for refs other than branches and tags.
func event(repo builder.Repository, delivery, ref, before, commit string) (builder.Event, bool) {
	e := builder.Event{
		ID:         Instance + ":" + delivery + ":" + ref,
		Repository: repo, Ref: ref, Before: before, Commit: commit,
	}
	switch {
	case strings.HasPrefix(ref, "refs/heads/"):
		e.Kind = builder.BranchPushed
		if commit == "" {
			e.Kind = builder.BranchDeleted
		}
	case strings.HasPrefix(ref, "refs/tags/"):
		e.Kind = builder.TagPushed
		if commit == "" {
			e.Kind = builder.TagDeleted
		}
	default:
		return builder.Event{}, false
	}
	return e, true
}

// checkRef refuses names that git takes and other programs stumble over. The
// hook calls it: it is our own binary, and the names reach the server only in
// a form that has lost what is refused here.
func checkRef(ref string) error {
	_, short, _ := strings.Cut(strings.TrimPrefix(ref, "refs/"), "/")
	switch {
	case !utf8.ValidString(ref):
		return &refusal{fmt.Sprintf("%q is not UTF-8: rename it", ref)}
	case strings.HasPrefix(short, "-"):
		return &refusal{fmt.Sprintf("%s: a name that begins with '-' would be taken for an option: rename it", ref)}
	case len(ref) > 1000:
		return &refusal{fmt.Sprintf("%.60s…: the name has %d bytes, 1000 are allowed", ref, len(ref))}
	}
	return nil
}
