package importer

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/config"
)

// names are what the expressions are tried on.
func names() []string {
	return []string{
		"", "main", "master", "maintenance", "v1", "v1.0", "v1x0", "v12", "dev", "release", "release-", "release-v1", "release-1.2",
		"my-release-v1", "hotfix/a", "hotfix/a/b", "feature/x", "a]b", "a|b", "<tag>x", "(<tag>x", "<tagGroup>x", "gx", "ox", "a<tag>", "A", "aa", "aaa", "ab", "abc", "release--",
		"refs/heads/main", "refs/heads/master", "refs/heads/master2", "refs/heads/release-v1", "refs/tags/v1", "refs/tags/v1.0", "refs/heads/refs/tags/v1",
	}
}

// TestTranslate compares the pattern that comes out with the expression as
// its service means it: over the whole name, or found anywhere in it. For
// these expressions Go's package and Java agree.
func TestTranslate(t *testing.T) {
	expressions := []string{
		`main`, `^main$`, `release-(?<imageTag>\w*)`, `release-.*`, `v[0-9]+(\.[0-9]+)*`, `^v`, `\d`, `1$`, `a|b`, `^a|b$`, `^(a|b)$`,
		`(main|master)`, `^refs/heads/master$`, `^refs/heads/(main|master)$`, `^refs/(heads|tags)/v?`, `refs/tags/v\d+\.\d+`, `release-*`,
		`[^/]+`, `a\]b`, `[\]a]+`, `(?i)MAIN`, `(?<tag>v\d)`, `(?<a>a)(?<b>b)?`, `a{2}`, `a{2,}`, `.*`, `^$`, `hotfix/.+`, `\brelease\b`, `x?`,
		`v1\.0`, `(?:ab)+c?`, `^.*a`, `a.*$`, `[a\-z]+`, `\Av`, `0\z`, `^^main$$`, `a\|b`, `[|]`, `\(?<tag>x`, `[(?<tag>]x`, `a[(]?<tag>`,
	}
	for _, expr := range expressions {
		for _, search := range []bool{false, true} {
			var want, got []string
			re := regexp.MustCompile(expr)
			re.Longest() // whether a whole name can match, not what is found first
			e, err := translate(expr, search)
			if err != nil {
				t.Errorf("%s: %v", expr, err)
				continue
			}
			text := "/" + e.body + "/"
			if e.literal != "" {
				text = e.literal
			}
			p, err := config.ParsePattern(text)
			if err != nil {
				t.Errorf("%s became %s: %v", expr, text, err)
				continue
			}
			for _, n := range names() {
				whole := regexp.MustCompile(`\A(?:` + expr + `)\z`)
				if search && re.MatchString(n) || !search && whole.MatchString(n) {
					want = append(want, n)
				}
				if _, ok := p.Match(n); ok {
					got = append(got, n)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (search: %t) became %s (-want +got)\n%s", expr, search, text, diff)
			}
		}
	}
}

// The groups of an expression that is searched catch what a search finds
// first.
func TestTranslateKeepsGroups(t *testing.T) {
	for _, tt := range []struct{ expr, name, group, want string }{
		{`v(?<n>\d+)`, "v1-v2", "n", "1"},
		{`(?<n>\d+)$`, "v1-v22", "n", "22"},
		{`a(?<n>b|c)`, "xab-ac", "n", "b"},
		{`^(?<tag>\w+)-`, "ab-cd-", "tagGroup", "ab"},
		{`\((?<n>.)`, "x(y", "n", "y"},
	} {
		e, err := translate(tt.expr, true)
		if err != nil {
			t.Fatal(err)
		}
		p, err := config.ParsePattern("/" + e.body + "/")
		if err != nil {
			t.Fatal(err)
		}
		groups, ok := p.Match(tt.name)
		if !ok || groups[tt.group] != tt.want {
			t.Errorf("%s became %s, which catches %v of %s", tt.expr, e.body, groups, tt.name)
		}
	}
}

// What RE2 cannot do, or does otherwise than Java without a word, is refused.
func TestTranslateRefuses(t *testing.T) {
	for _, tt := range []struct{ expr, want string }{
		{`^(?!wip)`, "lookahead"},
		{`(?<=v)1`, "lookbehind"},
		{`(?<!v)1`, "lookbehind"},
		{`(a)\1`, "back references"},
		{`(?<a>a)\k<a>`, "escape"},
		{`a++`, "repetitions follow"},
		{`(?>a)`, "RE2 has no"},
		{`*-release`, "nothing before it"},
		{`[a-z&&[^b]]`, "class in a class"},
		{`[a&&b]`, "&&"},
		{`[a[bc]]`, "class in a class"},
		{`[[:alpha:]]`, "class in a class"},
		{`(?U)\w`, "(?U)"},
		{`\Qa.b\E`, `\Q`},
		{`(`, `")"`},
		{`a{1001}`, "1000"},
		{`(?<a>x)|(?<a>y)`, "stands twice"},
		{"a\x00", "control"},
		{strings.Repeat("a|", 600), "bytes"},
	} {
		e, err := translate(tt.expr, false)
		if err == nil {
			t.Errorf("%s became %q", tt.expr, e.body)
		} else if !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want a word of %s", tt.expr, err, tt.want)
		}
	}
}
