package builder

import (
	"fmt"
	"strconv"
	"strings"
)

// Pull is a pull request (merge request, change) as an event found it.
type Pull struct {
	Number     int    `json:"number"`
	Author     string `json:"author,omitempty"`
	HeadBranch string `json:"headBranch,omitempty"` // name at the head's repository
	Head       string `json:"head"`                 // commit
	BaseBranch string `json:"baseBranch"`
	Base       string `json:"base,omitempty"`      // commit of the base branch, as the event knew it
	Merge      string `json:"merge,omitempty"`     // the forge's would-be merge commit; "" when it has none (yet)
	Fork       bool   `json:"fork,omitempty"`      // the head is in another repository
	HeadOwner  string `json:"headOwner,omitempty"` // of the head's repository
	Open       bool   `json:"open,omitempty"`
	Merged     bool   `json:"merged,omitempty"`
}

// PullRef is the ref that stands for a pull request everywhere in here,
// whatever its forge calls it.
func PullRef(number int) string { return fmt.Sprintf("refs/pull/%d/head", number) }

// ParsePullRef returns the number of a pull request's ref, false for others.
func ParsePullRef(ref string) (number int, ok bool) {
	text, isPull := strings.CutPrefix(ref, "refs/pull/")
	text, isHead := strings.CutSuffix(text, "/head")
	if !isPull || !isHead {
		return 0, false
	}
	number, err := strconv.Atoi(text)
	return number, err == nil && number > 0 && text == strconv.Itoa(number)
}
