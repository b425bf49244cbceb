package builder

import (
	"strings"
	"testing"
)

func TestTagName(t *testing.T) {
	long := strings.Repeat("x", 128)
	for _, tt := range []struct{ name, in, want string }{
		{"as it is", "v1.0.0_rc-1", "v1.0.0_rc-1"},
		{"capitals stay", "Main", "Main"},
		{"slash", "feature/login", "feature-login"},
		{"several characters, each one", "a b+c@d:e", "a-b-c-d-e"},
		{"one dash for a character, not for a byte", "für", "f-r"},
		{"bytes that are no text", "a\xff\xfeb", "a--b"},
		{"line end", "a\nb", "a-b"},
		{"NUL", "a\x00b", "a-b"},
		{"leading dash", "-x", "x"},
		{"leading dots and dashes", ".-.x.-", "x.-"},
		{"leading character that becomes a dash", "/x", "x"},
		{"underscore may lead", "_x", "_x"},
		{"nothing left", "功能", ""},
		{"empty", "", ""},
		{"longest", long, long},
		{"too long", long + "y", strings.Repeat("x", 119) + "-0b03891a"},
		{"too long, other end", long + "z", strings.Repeat("x", 119) + "-bccadf6e"},
		{"the lead is cut first", "-" + long, long},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := TagName(tt.in)
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if got != "" && !ValidTag(got) {
				t.Errorf("%q is not valid", got)
			}
		})
	}
}

func TestValidTag(t *testing.T) {
	for tag, want := range map[string]bool{
		"latest": true, "_": true, "1.2": true, strings.Repeat("a", 128): true,
		"": false, ".a": false, "-a": false, "a/b": false, "a:b": false, "ä": false,
		"a\n": false, strings.Repeat("a", 129): false,
	} {
		if ValidTag(tag) != want {
			t.Errorf("ValidTag(%q) = %v", tag, !want)
		}
	}
}

func FuzzTagName(f *testing.F) {
	for _, s := range []string{"main", "feature/login", "-x", "功能", "a\xffb", strings.Repeat("ü/", 200), ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tag := TagName(s)
		if tag != "" && !ValidTag(tag) {
			t.Errorf("TagName(%q) = %q, which is not valid", s, tag)
		}
		if TagName(tag) != tag {
			t.Errorf("TagName(%q) = %q, and again %q", s, tag, TagName(tag))
		}
	})
}
