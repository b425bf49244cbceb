package chat

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/registry-build/registry-build/builder/trigger/guard"
	"github.com/registry-build/registry-build/builder/trigger/triggertest"
	"github.com/registry-build/registry-build/config"
)

func TestClean(t *testing.T) {
	tests := map[string]struct {
		in    string
		limit int
		want  string
	}{
		"as it is":       {"v1.2.3", 10, "v1.2.3"},
		"lines":          {" a\r\nb\tc\u2028d ", 20, "a b c d"},
		"control":        {"a\x00b\x1b[31mc\x7f", 20, "ab[31mc"},
		"direction":      {"\u202egnp.exe\u2066", 20, "gnp.exe"},
		"no width":       {"pay\u200bpal\ufeff", 20, "paypal"},
		"no UTF-8":       {"a\xffb", 20, "a\uFFFDb"},
		"cut":            {"abcdefgh", 4, "abc…"},
		"cut, not bytes": {"日本語テスト", 4, "日本語…"},
		"fits":           {"日本語", 3, "日本語"},
		"nothing":        {"\u200b \n", 3, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := clean(tt.in, tt.limit); got != tt.want {
				t.Errorf("clean(%q, %d) = %q, want %q", tt.in, tt.limit, got, tt.want)
			}
		})
	}
}

// The longest message that there can be fits what each service takes.
func TestSizes(t *testing.T) {
	k := newKind(t, vault{}, guard.Options{})
	long := strings.Repeat("語", 2000)
	f := stories()["failed"]
	f.Event = config.OnFailed
	f.Record.Destination, f.Record.Actor, f.Record.Ref = "registry.example.com/"+long, long, "refs/heads/"+long
	f.Record.Repository.Owner, f.Record.Repository.Name = long, long
	f.Record.Failure.Message, f.Record.Failure.File = long, long
	f.Tags = nil
	for i := range 40 {
		f.Tags = append(f.Tags, fmt.Sprintf("%03d%s", i, strings.Repeat("x", 125)))
	}
	m := k.message(f)
	_, s := slack(m, robot{}, k.o.Now())
	if n := utf8.RuneCountInString(s.(slackMessage).Blocks[0].Text.Text); n > 3000 {
		t.Errorf("Slack takes 3,000 characters in a section, these are %d", n)
	}
	_, w := weCom(m, robot{}, k.o.Now())
	content := w.(weComMessage).Markdown.Content
	if len(content) > weComBytes || !strings.HasSuffix(content, "(https://build.example.com/builds/06EXAMPLE0BUILD1)") || !utf8.ValidString(content) {
		t.Errorf("WeCom takes %d bytes, these are %d: …%s", weComBytes, len(content), content[len(content)-100:])
	}
	for name, s := range services() {
		_, payload := s.encode(m, robot{secret: "s"}, k.o.Now())
		body, err := encode(payload)
		if err != nil || len(body) > 20_000 {
			t.Errorf("%s: %d bytes, %v", name, len(body), err)
		}
	}
}

func TestTagsAreCounted(t *testing.T) {
	k := newKind(t, vault{}, guard.Options{})
	f := triggertest.Firing(tell(), 1)
	f.Tags = strings.Split("a b c d e f g", " ")
	if got := k.message(f).title(); got != "Pushed acme/hello: a, b, c, d, e, and 2 more" {
		t.Error(got)
	}
	f.Tags = nil
	if got := k.message(f).title(); got != "Pushed acme/hello" {
		t.Error(got)
	}
}
