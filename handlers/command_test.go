package handlers

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
)

func TestFirstLine(t *testing.T) {
	for _, tt := range []struct{ name, body, want string }{
		{"a command", "/build", "/build"},
		{"with arguments", "/build api --ref feature/a_b_c no-cache", "/build api --ref feature/a_b_c no-cache"},
		{"text after it", "/rebuild api\nplease, it was the network\n/cancel", "/rebuild api"},
		{"as browsers send it", "/rebuild api\r\nplease\r\n", "/rebuild api"},
		{"a forced line break", "/rebuild  \nplease", "/rebuild"},
		{"empty lines and blanks before it", "\n\n   /build\n", "/build"},
		{"a byte order mark", "\ufeff/build", "/build"},
		{"after a quote", "> why is this red?\n> ```\n> /cancel\n> ```\n\n/rebuild", "/rebuild"},
		{"after fenced code", "```\n$ /cancel\n```\n/rebuild", "/rebuild"},
		{"after fenced code with tildes", "~~~ sh\n/cancel\n~~~\n/rebuild", "/rebuild"},
		{"after indented code", "    /cancel\n\n/rebuild", "/rebuild"},
		{"after an HTML comment", "<!-- write /cancel -->\n/rebuild", "/rebuild"},
		{"after an HTML comment of several lines", "<!--\n/cancel\n-->\n/rebuild", "/rebuild"},
		{"after a link's definition", "[log]: https://ci.example.com\n\n/rebuild", "/rebuild"},
		{"after a line across", "---\n/rebuild", "/rebuild"},
		{"arguments in bold and code", "/promote **api** `v1.2`", "/promote api v1.2"},
		{"escaped", `/promote v1\_2 \*`, "/promote v1_2 *"},
		{"an entity", "/build a&amp;b &#47;x", "/build a&b /x"},
		{"an HTML comment in the line", "/build <!-- x --> api", "/build  api"},
		{"an image in the line", "/build ![api](x)", "/build "},
		{"an address in the line", "/build https://example.com/a www.example.com <https://x.example>", "/build https://example.com/a www.example.com https://x.example"},
		{"a link in the line", "/build [api](https://example.com)", "/build api"},
		{"code over the end of the line", "/build `a\nb`", "/build a"},

		{"nothing", "", ""},
		{"text", "please /build", ""},
		{"text before it", "please\n/build", ""},
		{"text above it", "please\n\n/build", ""},
		{"in a quote", "> /build", ""},
		{"in a quote's last line, which has lost its sign", "> why?\n/build", ""},
		{"in fenced code", "```\n/build\n```", ""},
		{"in fenced code that does not end", "```\n/build", ""},
		{"in fenced code with the command in its first line", "``` /build\n```", ""},
		{"in indented code", "    /build", ""},
		{"in code indented by a tab", "\t/build", ""},
		{"in code", "`/build`", ""},
		{"in code of several lines", "``\n/build\n``", ""},
		{"in an HTML comment", "<!-- /build -->", ""},
		{"in an HTML comment that does not end", "<!--\n\n/build", ""},
		{"in an HTML comment's line", "<!-- x --> /build", ""},
		{"between two HTML comments", "<!-- x -->\u00a0<!-- y -->\n\n/build <!-- z -->", ""},
		{"folded away", "<details>\n\n/build\n\n</details>", ""},
		{"in HTML", "<b>/build</b>", ""},
		{"in a link", "[/build](https://example.com)", ""},
		{"in an image", "![/build](https://example.com)", ""},
		{"a link's definition", "[x]: /build", ""},
		{"in a heading", "# /build", ""},
		{"in a heading that is underlined", "/build\n===", ""},
		{"in a list", "- /build", ""},
		{"in a list of things to do", "- [ ] /build", ""},
		{"after a list", "- a\n\n/build", ""},
		{"in a table", "/a | b\n---|---\n/build | x", ""},
		{"bold", "**/build**", ""},
		{"struck out", "~~/build~~", ""},
		{"a very long line", "/build " + strings.Repeat("x", maxCommandLine), ""},
		{"a very long comment", "/build\n" + strings.Repeat("x\n", maxComment), "/build"},
		{"one very long line", strings.Repeat("/", maxComment+1), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := firstLine(tt.body)
			if got != tt.want || ok != (tt.want != "") {
				t.Errorf("got %q, %t, want %q", got, ok, tt.want)
			}
		})
	}
}

func TestReadCommand(t *testing.T) {
	from := builder.Command{Source: builder.FromComment, Pull: 12, Comment: "99"}
	for _, tt := range []struct {
		name, body string
		want       builder.Command
		ok         bool
	}{
		{"understood", "/rebuild `api` no-cache\nthanks", builder.Command{Name: builder.CommandRebuild, Image: "api", NoCache: true, Text: "/rebuild api no-cache"}, true},
		{"another bot's", "/lgtm\n/build", builder.Command{}, false},
		{"no command", "hello", builder.Command{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			from.Body = tt.body
			got, ok := ReadCommand(from)
			if tt.ok {
				tt.want.Source, tt.want.Pull, tt.want.Comment = from.Source, from.Pull, from.Comment
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || ok != tt.ok {
				t.Errorf("ok %t (-want +got):\n%s", ok, diff)
			}
		})
	}
	from.Body = "/promote"
	if got, ok := ReadCommand(from); !ok || got.Invalid == "" || got.Body != "" {
		t.Errorf("a command that is not understood: %+v, %t", got, ok)
	}
}

// TestFirstLineIsQuick: GitHub waits ten seconds, for whatever people write.
// A tenth of a second is the worst on a quiet machine; the limit is for a busy
// one, with the race detector.
func TestFirstLineIsQuick(t *testing.T) {
	for _, unit := range []string{
		"[a](", "_a*", "> ", "1. ", "[x]: y\n",
	} {
		for _, body := range []string{
			strings.Repeat(unit, maxComment/len(unit)-2), "/x " + strings.Repeat(unit, maxComment/len(unit)-4),
		} {
			body += "\n"
			began := time.Now()
			firstLine(body)
			if took := time.Since(began); took > time.Minute {
				t.Errorf("%d bytes of %q: %v", len(body), unit, took)
			}
		}
	}
}

func FuzzFirstLine(f *testing.F) {
	for _, body := range []string{"/build", "> a\n\n/build", "<!-- -->\n/x", "```\n/build", "/promote `v1` &amp; [a](b)", "a|b\n-|-\n", "[x]: y"} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		line, ok := firstLine(body)
		if ok && (!strings.HasPrefix(line, "/") || strings.Contains(line, "\n")) {
			t.Errorf("%q is read as %q", body, line)
		}
	})
}
