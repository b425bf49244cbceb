package markdown

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/registry-build/registry-build/builder"
)

const (
	// Marker tells our comment from all others; nobody sees it. Whoever copies
	// it is not us, so it has to be our account's comment as well.
	Marker = "<!-- registry-build -->"
	// MaxComment is how long a comment may be, in bytes. The least of the
	// forges' limits is GitHub's, of 65,536 characters.
	MaxComment = 65000
	// maxRemark is how much of one remark anybody reads.
	maxRemark = 30000
)

// Thread is the comment that holds the remarks: what holds for the pull
// request first, then the answers, the newest last. Where all is too long the
// oldest answers are left out.
func Thread(remarks []builder.Remark) string {
	var standing, answers []builder.Remark
	for _, r := range remarks {
		switch {
		case r.Text == "":
		case topicPlace(r.Topic) < len(topics):
			standing = append(standing, r)
		default:
			answers = append(answers, r)
		}
	}
	slices.SortStableFunc(standing, func(a, b builder.Remark) int { return cmp.Compare(topicPlace(a.Topic), topicPlace(b.Topic)) })
	slices.SortStableFunc(answers, func(a, b builder.Remark) int { return cmp.Compare(a.Seq, b.Seq) })
	for {
		body := joinRemarks(standing, answers)
		if len(body) <= MaxComment {
			return body
		}
		if len(answers) > 0 {
			answers = answers[1:]
		} else {
			standing = standing[1:]
		}
	}
}

// topics that stand before the answers.
var topics = [...]string{builder.TopicFork, builder.TopicChanges, builder.TopicTags}

func topicPlace(topic string) int {
	if i := slices.Index(topics[:], topic); i >= 0 {
		return i
	}
	return len(topics)
}

func joinRemarks(standing, answers []builder.Remark) string {
	parts := []string{Marker}
	for _, r := range standing {
		parts = append(parts, remarkText(r))
	}
	if len(standing) > 0 && len(answers) > 0 {
		parts = append(parts, "---")
	}
	for _, r := range answers {
		parts = append(parts, asked(r)+remarkText(r))
	}
	if len(parts) == 1 {
		parts = append(parts, "Nothing to say at the moment.")
	}
	return strings.Join(parts, "\n\n") + "\n"
}

// asked quotes the command that a remark answers. Names are code, so that
// nobody is called.
func asked(r builder.Remark) string {
	switch {
	case r.Command == "":
		return ""
	case r.By == "":
		return "> " + Code(Clip(OneLine(r.Command), 200)) + "\n\n"
	}
	return "> " + Code(Clip(OneLine(r.Command), 200)) + " by " + Code("@"+r.By) + "\n\n"
}

func remarkText(r builder.Remark) string {
	text, cut := KeepStart(strings.TrimSpace(strings.ToValidUTF8(r.Text, "\uFFFD")), maxRemark)
	if cut {
		text = Closed(text+"\n…") + "\n"
	}
	return Harmless(Closed(text))
}

// Fingerprint tells two comments apart.
func Fingerprint(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:8])
}
