package config

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTemplateExpand(t *testing.T) {
	tests := []struct{ name, template, want string }{
		{"text", "latest", "latest"},
		{"empty", "", ""},
		{"variable", "v-${VERSION}", "v-<VERSION>"},
		{"format", "${time:yyyyMMdd}-${commit:7}", "<time|yyyyMMdd>-<commit|7>"},
		{"format with colons", "${time:HH:mm}", "<time|HH:mm>"},
		{"dollars", "$$${a}", "$<a>"},
		{"written characters", "$${a}", "${a}"},
		{"lone dollar", "$HOME$", "$HOME$"},
		{"not ASCII", "ä${a}ö", "ä<a>ö"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tm, err := ParseTemplate(tt.template)
			if err != nil {
				t.Fatal(err)
			}
			got, err := tm.Expand(func(name, format string) (string, error) {
				if format != "" {
					name += "|" + format
				}
				return "<" + name + ">", nil
			})
			if err != nil || got != tt.want {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
			if tm.String() != tt.template {
				t.Errorf("String() = %q", tm)
			}
		})
	}
	broken := errors.New("broken")
	tm, _ := ParseTemplate("a${b}")
	if _, err := tm.Expand(func(string, string) (string, error) { return "", broken }); !errors.Is(err, broken) {
		t.Errorf("lookup's error is lost: %v", err)
	}
}

// Arguments are made of arguments: without a limit twenty of them fill any
// memory.
func TestTemplateExpandEnds(t *testing.T) {
	tm, err := ParseTemplate(strings.Repeat("${A}", 800))
	if err != nil {
		t.Fatal(err)
	}
	value, calls := strings.Repeat("a", 1000), 0
	got, err := tm.Expand(func(string, string) (string, error) { calls++; return value, nil })
	if err == nil || !strings.Contains(err.Error(), "comes to more than 16384 bytes") || got != "" || len(err.Error()) > 300 || calls > 17 {
		t.Errorf("after %d values: %d bytes, %v", calls, len(got), err)
	}
}

func TestTemplateVariables(t *testing.T) {
	tm, err := ParseTemplate("ä-${tag}$${x}${commit:7}")
	if err != nil {
		t.Fatal(err)
	}
	want := []variable{{"tag", "", 3}, {"commit", "7", 14}}
	if diff := cmp.Diff(want, tm.variables()); diff != "" {
		t.Error(diff)
	}
}

func TestTemplateErrors(t *testing.T) {
	for name, tt := range map[string]struct{ template, want string }{
		"unclosed":           {"a${b", `has no "}"`},
		"empty":              {"${}", "is no variable"},
		"space":              {"${ b }", "is no variable"},
		"digit":              {"${1}", "is no variable"},
		"empty format":       {"${time:}", "nothing after its colon"},
		"format of a text":   {"${branch:7}", "only commit, time"},
		"commit of 0":        {"${commit:0}", "1 to 40"},
		"commit of 41":       {"${commit:41}", "1 to 40"},
		"commit of a word":   {"${commit:short}", "1 to 40"},
		"commit of +7":       {"${commit:+7}", "1 to 40"},
		"time letters":       {"${time:YYYY}", `no "YYYY"`},
		"short year":         {"${time:yy}", `no "yy"`},
		"build time letters": {"${buildTime:hh}", `no "hh"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseTemplate(tt.template)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want …%s…", err, tt.want)
			}
		})
	}
}

func TestFormatTime(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for layout, want := range map[string]string{
		"":                    "202601020304",
		"yyyy-MM-dd HH:mm:ss": "2026-01-02 03:04:05",
		"yyyy_2":              "2026_2", // not Go's _2
		"年yyyy":               "年2026",
	} {
		if got, err := FormatTime(at, layout); err != nil || got != want {
			t.Errorf("FormatTime(%q) = %q, %v, want %q", layout, got, err, want)
		}
	}
	if _, err := FormatTime(at, "yyyy-M"); err == nil {
		t.Error("M is accepted")
	}
}

func TestFormatCommit(t *testing.T) {
	const sha = "0123456789012345678901234567890123456789"
	for format, want := range map[string]string{"": sha[:6], "7": sha[:7], "40": sha} {
		if got, err := FormatCommit(sha, format); err != nil || got != want {
			t.Errorf("FormatCommit(%q) = %q, %v", format, got, err)
		}
	}
	if got, _ := FormatCommit("abc", "7"); got != "abc" {
		t.Errorf("short id: %q", got)
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"latest", "v-${VERSION}-${time:yyyyMMdd}-${commit:7}", "$$${", "${", "$", "${time:ä}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tm, err := ParseTemplate(s)
		if err != nil {
			return
		}
		_, err = tm.Expand(func(name, format string) (string, error) {
			switch name {
			case "commit":
				return FormatCommit("0123456789012345678901234567890123456789", format)
			case "time", "buildTime":
				return FormatTime(time.Unix(0, 0), format)
			}
			return name, nil
		})
		if err != nil {
			t.Errorf("accepted, but does not expand: %v", err)
		}
	})
}
