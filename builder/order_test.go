package builder

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOrder(t *testing.T) {
	head := func(commit string, generation int64) *Position {
		return &Position{Repository: "git:a", Ref: "refs/heads/main", Commit: commit, Generation: generation, Seq: 1}
	}
	for _, tt := range []struct {
		name           string
		head           *Position
		before, commit string
		wantCommit     string
		wantGeneration int64
		stale          bool
	}{
		{"never seen", nil, "", "c1", "c1", 1, false},
		{"never seen, though it was there before", nil, "c1", "c2", "c2", 1, false},
		{"deleted before it was seen", nil, "c1", "", "", 1, false},

		{"fast-forward", head("c1", 1), "c1", "c2", "c2", 1, false},
		{"fast-forward over events that are not here yet", head("c1", 1), "c2", "c3", "c3", 1, false},
		{"the event that was missing then is stale", head("c3", 1), "c1", "c2", "c3", 1, true},
		{"the creation arrives late", head("c2", 1), "", "c1", "c2", 1, true},
		{"told twice", head("c2", 1), "c1", "c2", "c2", 1, true},

		{"force push", head("c3", 1), "c3", "f1", "f1", 2, false},
		{"force push back to an ancestor", head("c3", 4), "c3", "c1", "c1", 5, false},
		{"force push whose forerunner is not here yet", head("c1", 1), "c3", "f1", "f1", 1, false},
		{"force push to another line, with a gap", head("c2", 1), "c3", "f1", "f1", 2, false},
		{"fast-forward after it", head("f1", 2), "f1", "f2", "f2", 2, false},

		{"deleted", head("c2", 3), "c2", "", "", 3, false},
		{"deleted, by a forge that does not say at which commit", head("c2", 3), "", "", "", 3, false},
		{"deleted at a commit that is not here yet", head("c1", 3), "c2", "", "", 3, false},
		{"late deletion of a former life", head("f1", 3), "c2", "", "f1", 3, true},
		{"deleted twice", head("", 3), "c2", "", "", 3, true},
		{"created again", head("", 3), "", "c1", "c1", 4, false},
		{"created again, the creation not here yet", head("", 3), "c1", "c2", "c2", 4, false},
		{"a creation while it is there: the deletion was lost", head("c2", 3), "", "f1", "f1", 4, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := Event{Kind: BranchPushed, Repository: Repository{Forge: "git", ID: "a"},
				Ref: "refs/heads/main", Before: tt.before, Commit: tt.commit, Seq: 2}
			next, stale, err := Order(tt.head, e, sampleHistory.descends)
			if err != nil || stale != tt.stale {
				t.Fatalf("stale %v, error %v", stale, err)
			}
			want := Position{Repository: "git:a", Ref: "refs/heads/main",
				Commit: tt.wantCommit, Generation: tt.wantGeneration, Seq: 2}
			if stale {
				want = *tt.head
			}
			if diff := cmp.Diff(want, next); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What arrives in any order of a line that only went forward ends at its tip,
// in one generation.
func TestOrderAnyDelivery(t *testing.T) {
	pushes := [][2]string{{"", "c1"}, {"c1", "c2"}, {"c2", "c3"}, {"c3", "m"}}
	for _, order := range [][]int{{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 0, 3, 2}, {2, 3, 0, 1}, {0, 2, 1, 3}, {3, 0, 1, 2}} {
		var head *Position
		for seq, i := range order {
			e := Event{Kind: BranchPushed, Ref: "refs/heads/main",
				Before: pushes[i][0], Commit: pushes[i][1], Seq: int64(seq)}
			next, _, err := Order(head, e, sampleHistory.descends)
			if err != nil {
				t.Fatal(err)
			}
			head = &next
		}
		if head.Commit != "m" || head.Generation != 1 {
			t.Errorf("order %v ends at %+v", order, *head)
		}
	}
}

func TestOrderRequested(t *testing.T) {
	e := Event{Kind: Requested, Repository: Repository{Forge: "git", ID: "a"}, Ref: "refs/heads/main", Commit: "c1", Seq: 9}
	head := Position{Repository: "git:a", Ref: "refs/heads/main", Commit: "c3", Generation: 2, Seq: 4}
	next, stale, err := Order(&head, e, nil)
	if err != nil || stale || next != head {
		t.Errorf("a build by hand moved the head: %+v, %v, %v", next, stale, err)
	}
	next, stale, err = Order(nil, e, nil)
	if err != nil || stale || next.Generation != 0 || next.Commit != "" {
		t.Errorf("a build by hand of a ref that was never seen: %+v, %v, %v", next, stale, err)
	}
}

func TestOrderNeedsHistory(t *testing.T) {
	broken := errors.New("mirror is gone")
	head := Position{Commit: "c1", Generation: 1}
	for name, e := range map[string]Event{
		"push":     {Kind: BranchPushed, Before: "c1", Commit: "c2"},
		"deletion": {Kind: BranchDeleted, Before: "c2"},
	} {
		next, stale, err := Order(&head, e, func(a, c string) (bool, error) { return false, broken })
		if !errors.Is(err, broken) || stale || next != head {
			t.Errorf("%s: %+v, %v, %v", name, next, stale, err)
		}
	}
}
