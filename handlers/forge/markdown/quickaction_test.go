package markdown_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/handlers/forge/markdown"
)

// acts is where GitLab finds quick actions in what it takes for text:
// lib/gitlab/quick_actions/extractor.rb.
var acts = regexp.MustCompile(`(?m)^/[a-z]`)

func TestNoQuickActions(t *testing.T) {
	cases := map[string]struct{ text, want string }{
		"nothing to do":           {"a /merge in the middle\n\nhttps://example.com/close", "a /merge in the middle\n\nhttps://example.com/close"},
		"paragraph":               {"text\n/merge now\ntext", "text\n /merge now\ntext"},
		"last line":               {"text\n/close", "text\n /close"},
		"the whole note":          {"/close", "\u200b/close"},
		"the whole note, bare":    {" \n /close\n", "\u200b/close"},
		"carriage returns":        {"text\n\r/merge\r\n\r\r/close", "text\n /merge\n /close"},
		"code":                    {"```text\n/bin/sh: make: not found\n/merge\n```", "```text\n /bin/sh: make: not found\n /merge\n```"},
		"a fence in a longer one": {"````text\n```\n/merge\n````", "````text\n```\n /merge\n````"},
		"a fence left open":       {"```\nlog\n\n/merge", "```\nlog\n\n /merge"},
		"details":                 {"<details>\n/merge\n</details>", "<details>\n /merge\n</details>"},
		"nothing":                 {"", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := markdown.NoQuickActions(c.text)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if again := markdown.NoQuickActions(got); again != got {
				t.Errorf("twice: %q", again)
			}
		})
	}
}

// Whatever a build prints, and wherever we put it, nothing in it acts.
func FuzzNoQuickActions(f *testing.F) {
	for _, s := range []string{"/merge", "```\n/merge\n```", "x\r/close", "`\n/label ~x\n`", "<p>\n/close\n</p>", ">>>\n/close\n>>>", "a\n    /close"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, body := range []string{s, markdown.Fenced(s, "text"), markdown.Harmless(s), "> " + s, markdown.Prose(s)} {
			got := strings.ReplaceAll(markdown.NoQuickActions(body), "\r", "")
			if at := acts.FindString(got); at != "" {
				t.Errorf("%q acts in %q", at, got)
			}
			if at := acts.FindString(strings.TrimSpace(got)); at != "" {
				t.Errorf("%q acts at the beginning of %q", at, got)
			}
		}
	})
}

// What would make a forge tell somebody, or leave a trace elsewhere.
func TestHarmless(t *testing.T) {
	cases := map[string]struct{ text, want string }{
		"name":          {"ask @ada", "ask @\u200bada"},
		"issue":         {"see #12", "see #\u200b12"},
		"merge request": {"see !12 and group/shop!7", "see !\u200b12 and group/shop!\u200b7"},
		"escaped":       {`see \!12`, "see \\!\u200b12"},
		"image":         {"![x](y)", "!\u200b[x](y)"},
		"code":          {"`@ada #12 !12`", "`@ada #12 !12`"},
		"not equal":     {"a != 12", "a != 12"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, markdown.Harmless(c.text)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
