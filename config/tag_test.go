package config

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestTagSelector(t *testing.T) {
	list := func(tags ...string) TagSelector {
		s, err := selectTags(tags)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	text := func(s string) TagSelector {
		sel, err := ParseTagSelector(s)
		if err != nil {
			t.Fatal(err)
		}
		return sel
	}
	tests := []struct {
		name     string
		selector TagSelector
		yes, no  string // tags, separated by spaces
		json     string
	}{
		{"zero", TagSelector{}, "latest v1", "", `"all"`},
		{"all", text("all"), "latest v1", "", `"all"`},
		{"semicolons", text("one; two;"), "one two", "three all", `"one; two;"`},
		{"one", text("latest"), "latest", "latest2", `"latest"`},
		{"list", list("one", "two"), "one two", "three", `["one","two"]`},
		{"a tag called all", list("all"), "all", "one", `["all"]`},
		{"expression is searched", text(`/v\d/`), "v1 dev2", "v", `"/v\\d/"`},
		{"expression with anchors", text(`/^v\d$/`), "v1", "dev2 v10", `"/^v\\d$/"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data, err := json.Marshal(tt.selector)
			if err != nil || string(data) != tt.json {
				t.Fatalf("JSON %s, %v, want %s", data, err, tt.json)
			}
			var again TagSelector
			if err := json.Unmarshal(data, &again); err != nil || !again.Equal(tt.selector) {
				t.Fatalf("back from JSON: %v, %v", again, err)
			}
			for _, s := range []TagSelector{tt.selector, again} {
				for tag := range strings.FieldsSeq(tt.yes) {
					if !s.Match(tag) {
						t.Errorf("%s does not match %s", s, tag)
					}
				}
				for tag := range strings.FieldsSeq(tt.no) {
					if s.Match(tag) {
						t.Errorf("%s matches %s", s, tag)
					}
				}
			}
		})
	}
}

func TestTagSelectorErrors(t *testing.T) {
	for s, want := range map[string]string{
		"":          "empty",
		";":         "name no tag",
		"//":        "something between",
		"/v":        `must end with "/"`,
		"/(?=v)/":   "no lookahead",
		"v*":        "are no globs",
		"one, two":  "cannot be a tag",
		"a;.hidden": `".hidden" cannot be a tag`,
	} {
		if _, err := ParseTagSelector(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want …%s…", s, err, want)
		}
	}
	var sel TagSelector
	if err := json.Unmarshal([]byte(`7`), &sel); err == nil {
		t.Error("a number is accepted")
	}
}
