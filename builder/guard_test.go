package builder

import (
	"errors"
	"testing"
)

// history is commits with their parents. It answers Descends like git does,
// and false for a commit that it does not hold.
type history map[string][]string

func (h history) descends(ancestor, commit string) (bool, error) {
	if _, ok := h[ancestor]; !ok {
		return false, nil
	}
	if ancestor == commit {
		return true, nil
	}
	for _, parent := range h[commit] {
		if ok, _ := h.descends(ancestor, parent); ok {
			return true, nil
		}
	}
	return false, nil
}

// sampleHistory: c1 - c2 - c3 - m (merge of s), s beside c2, and f1 - f2, a
// line of its own that a force push brings.
var sampleHistory = history{
	"c1": nil, "c2": {"c1"}, "c3": {"c2"}, "s": {"c1"}, "m": {"c3", "s"},
	"f1": {"c1"}, "f2": {"f1"},
}

func TestMayMove(t *testing.T) {
	at := func(commit string, generation, seq int64) Position {
		return Position{Repository: "git:a", Ref: "refs/heads/main", Commit: commit, Generation: generation, Seq: seq}
	}
	onRef := func(p Position, ref string) Position { p.Ref = ref; return p }
	of := func(p Position, repo string) Position { p.Repository = repo; return p }
	for _, tt := range []struct {
		name          string
		current, next Position
		want          bool
	}{
		{"forward", at("c1", 1, 1), at("c2", 1, 2), true},
		{"forward over several", at("c1", 1, 1), at("m", 1, 4), true},
		{"forward, by an event that came before", at("c1", 1, 9), at("c2", 1, 2), true},
		{"the same again", at("c2", 1, 2), at("c2", 1, 2), true},
		{"the same by an older event", at("c2", 1, 5), at("c2", 1, 2), true},
		{"a slow build of an ancestor is held", at("c3", 1, 3), at("c2", 1, 2), false},
		{"an old commit by hand is held, though asked for later", at("c3", 1, 3), at("c1", 1, 9), false},
		{"a merged side is an ancestor", at("m", 1, 4), at("s", 1, 5), false},
		{"force push, unrelated", at("c3", 1, 3), at("f1", 2, 4), true},
		{"force push back to an ancestor", at("c3", 1, 3), at("c1", 2, 4), true},
		{"what the force push threw away is held", at("f1", 2, 4), at("c3", 1, 3), false},
		{"thrown away, built by a later event", at("f1", 2, 4), at("c3", 1, 9), false},
		{"thrown away, though a descendant", at("c1", 2, 4), at("c3", 1, 3), false},
		{"unrelated in one generation, later", at("c3", 1, 3), at("f1", 1, 4), true},
		{"unrelated in one generation, earlier", at("f1", 1, 4), at("c3", 1, 3), false},
		{"a commit that is gone, later", at("gone", 1, 3), at("c3", 1, 4), true},
		{"another ref, later", at("c3", 7, 3), onRef(at("c1", 1, 4), "refs/heads/dev"), true},
		{"another ref, earlier", at("c1", 1, 4), onRef(at("c3", 7, 3), "refs/heads/dev"), false},
		{"another repository, later", at("c3", 7, 3), of(at("c1", 1, 4), "git:b"), true},
		{"another repository, earlier", at("c1", 1, 4), of(at("c3", 7, 3), "git:b"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := MayMove(&tt.current, tt.next, sampleHistory.descends)
			if err != nil || got != tt.want {
				t.Errorf("got %v, %v; want %v", got, err, tt.want)
			}
		})
	}
	if ok, err := MayMove(nil, at("c1", 1, 1), nil); !ok || err != nil {
		t.Errorf("a tag that is nowhere: %v, %v", ok, err)
	}
}

func TestMayMoveNeedsHistory(t *testing.T) {
	broken := errors.New("mirror is gone")
	current := Position{Ref: "refs/heads/main", Commit: "c1"}
	next := Position{Ref: "refs/heads/main", Commit: "c2"}
	for name, descends := range map[string]func(a, c string) (bool, error){
		"forward": func(a, c string) (bool, error) { return false, broken },
		"back": func(a, c string) (bool, error) {
			if a == "c2" {
				return false, broken
			}
			return false, nil
		},
	} {
		if ok, err := MayMove(&current, next, descends); ok || !errors.Is(err, broken) {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
}
