package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPatternMatch(t *testing.T) {
	tests := []struct {
		name, pattern, ref string
		ok                 bool
		groups             map[string]string
	}{
		{"exact", "main", "main", true, nil},
		{"exact is whole", "main", "main2", false, nil},
		{"exact is case-sensitive", "main", "Main", false, nil},
		{"exact with slash", "feature/x", "feature/x", true, nil},
		{"glob", "v*", "v1.2.3", true, nil},
		{"glob may be empty", "v*", "v", true, nil},
		{"glob is anchored", "v*", "dev1", false, nil},
		{"glob crosses slashes", "*", "feature/a/b", true, nil},
		{"glob in the middle crosses slashes", "rel/*-rc", "rel/a/b-rc", true, nil},
		{"double star", "rel/**", "rel/a/b", true, nil},
		{"question mark", "v?", "v1", true, nil},
		{"question mark is a slash too", "v?x", "v/x", true, nil},
		{"class", "v[0-9]*", "v1", true, nil},
		{"class denied", "v[!0-9]*", "v1", false, nil},
		{"braces are letters", "a{b,c}", "a{b,c}", true, nil},
		{"braces are no alternatives", "a{b,c}", "ab", false, nil},
		{"expression", `/release-(?<imageTag>\w*)/`, "release-9", true, map[string]string{"imageTag": "9"}},
		{"expression, P form", `/release-(?P<n>\w*)/`, "release-9", true, map[string]string{"n": "9"}},
		{"expression is anchored in front", "/ain/", "main", false, nil},
		{"expression is anchored behind", "/mai/", "main", false, nil},
		{"alternatives are anchored whole", "/a|ab/", "ab", true, map[string]string{}},
		{"alternatives do not escape", "/a|b/", "ax", false, nil},
		{"flags do not lift the anchors", "/(?m)^a$/", "a\nb", false, nil},
		{"own anchors", "/^refs/heads/master$/", "refs/heads/master", true, map[string]string{}},
		{"escaped slashes", `/^refs\/heads\/master$/`, "refs/heads/master", true, map[string]string{}},
		{"a group without part", "/a|(?<b>c)/", "a", true, map[string]string{"b": ""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := ParsePattern(tt.pattern)
			if err != nil {
				t.Fatal(err)
			}
			groups, ok := p.Match(tt.ref)
			if ok != tt.ok {
				t.Fatalf("%s matches %s: %v", tt.pattern, tt.ref, ok)
			}
			if diff := cmp.Diff(tt.groups, groups); diff != "" {
				t.Error(diff)
			}
			if p.String() != tt.pattern {
				t.Errorf("String() = %q", p)
			}
		})
	}
	if _, ok := (Pattern{}).Match(""); ok {
		t.Error("the zero Pattern matches")
	}
}

func TestPatternGroups(t *testing.T) {
	p, err := ParsePattern(`/(?<major>\d+)\.(\d+)(?<rest>.*)/`)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"major", "rest"}, p.groups()); diff != "" {
		t.Error(diff)
	}
}

func TestPatternErrors(t *testing.T) {
	for name, tt := range map[string]struct{ pattern, want string }{
		"empty":             {"", `"*" matches every name`},
		"long":              {strings.Repeat("x", 1025), "1024 are the most"},
		"control":           {"a\x00", "control character"},
		"unclosed":          {"/abc", `must end with "/"`},
		"lone slash":        {"/", `must end with "/"`},
		"empty expression":  {"//", "is empty"},
		"escape":            {`v\*`, "no escapes"},
		"class":             {"v[0-9", `"[" without its "]"`},
		"lookahead":         {"/(?!x)y/", "no lookahead"},
		"lookbehind":        {"/(?<=v)1/", "no lookbehind"},
		"no lookbehind":     {"/(?<!v)1/", "no lookbehind"},
		"unnamed group":     {"/(?<>v)1/", "a named group is written"},
		"paren":             {"/a)|(b/", `a ")" has no "("`},
		"repeat":            {"/a{2000}/", "over 1000"},
		"back reference":    {`/(a)\1/`, "no back references"},
		"same group twice":  {"/(?<a>x)(?<a>y)/", "stands twice"},
		"digit group":       {"/(?<1a>x)/", "begin with a letter"},
		"group as variable": {"/(?<tag>x)/", "taken by the variable ${tag}"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParsePattern(tt.pattern)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want …%s…", err, tt.want)
			}
		})
	}
}

func TestMatchAny(t *testing.T) {
	if !MatchAny([]string{"acme/*", "["}, "acme/a/b") || MatchAny([]string{"["}, "[") || MatchAny(nil, "x") {
		t.Error("MatchAny")
	}
}

func FuzzPattern(f *testing.F) {
	for _, s := range []string{"main", "v*", "/release-(?<n>\\w*)/", "[a-z]**/?", "/(/", "{a,b}", "/(?m)^$/"} {
		f.Add(s, "release-1/x")
	}
	f.Fuzz(func(t *testing.T, s, name string) {
		p, err := ParsePattern(s)
		if err != nil {
			return
		}
		groups, ok := p.Match(name)
		if ok && p.re != nil && len(groups) != len(p.groups()) {
			t.Errorf("groups %v of %v", groups, p.groups())
		}
		if again, err := ParsePattern(p.String()); err != nil || !again.Equal(p) {
			t.Errorf("%q does not survive: %v", s, err)
		}
	})
}
