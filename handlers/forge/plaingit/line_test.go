package plaingit

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestClean(t *testing.T) {
	for _, tt := range []struct{ name, line, want string }{
		{"plain", "#1 [internal] load\tdone", "#1 [internal] load\tdone"},
		{"colours", "\x1b[1;31merror\x1b[0m: x", "error: x"},
		{"window title", "\x1b]0;owned\x07text", "text"},
		{"link", "\x1b]8;;http://x\x1b\\text\x1b]8;;\x1b\\", "text"},
		{"progress", "10%\r50%\r100%", "100%"},
		{"line end of DOS", "text\r", "text"},
		{"erased line", "secret\r\x1b[Kshown", "shown"},
		{"bell, backspace, null", "a\x07b\x08c\x00d", "abcd"},
		{"C1 controls", "a\u009b31mb", "a31mb"},
		{"writing direction", "a\u202eb\u2066c", "abc"},
		{"not UTF-8", "a\xffb", "a\uFFFDb"},
		{"long", strings.Repeat("é", maxLine), strings.Repeat("é", (maxLine-3)/2) + "…"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, clean(tt.line)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSplitter(t *testing.T) {
	endless := strings.Repeat("x", 5*maxLine)
	for _, tt := range []struct {
		name   string
		chunks []string
		want   []string
	}{
		{"over chunks", []string{"a", "b\nc", "\n"}, []string{"ab", "c"}},
		{"empty lines", []string{"\n\na\n"}, []string{"", "", "a"}},
		{"no end", []string{"a\nb"}, []string{"a", "b"}},
		{"a line without end", []string{endless, endless, "\nnext\n"}, []string{clean(endless), "next"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			s := &splitter{say: func(line string) { got = append(got, line) }}
			for _, c := range tt.chunks {
				s.Write([]byte(c))
			}
			if len(s.held) > 0 {
				s.Flush()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestCheckSegment(t *testing.T) {
	for _, ok := range []string{"a", "hello", "Hello-2", "a.b_c", "1"} {
		if err := checkSegment(ok); err != nil {
			t.Errorf("%s: %v", ok, err)
		}
	}
	for _, bad := range []string{"", ".", "..", "-a", ".a", "_a", "a..b", "a.", "a.git", "A.GIT", "a.lock", "a/b", "a b", "a\n", "a\x00", "é"} {
		if checkSegment(bad) == nil {
			t.Errorf("%q is taken for a name", bad)
		}
	}
}
