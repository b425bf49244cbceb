package credential

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"testing"
)

func TestRedactorString(t *testing.T) {
	const pem = "-----BEGIN KEY-----\r\nMIIEowIBAAKCAQEA\r\nabc\r\nq83vEjRWeJC\r\n-----END KEY-----\r\n"
	tests := map[string]struct {
		values   []string
		in, want string
	}{
		"nothing to hide":  {nil, "text", "text"},
		"empty value":      {[]string{"", "  \n"}, "te xt\n", "te xt\n"},
		"short value":      {[]string{"abc"}, "abc", "abc"},
		"value":            {[]string{"s3cret"}, "a s3cret b s3cre", "a *** b s3cre"},
		"two":              {[]string{"s3cret", "t0ken"}, "s3cret,t0ken", "***,***"},
		"touching":         {[]string{"s3cret", "t0ken"}, "s3crett0ken", "***"},
		"overlapping":      {[]string{"abcdef", "defghi"}, "xabcdefghix", "x***x"},
		"one in the other": {[]string{"cdef", "abcdefghij"}, "abcdefghij abcdefghi", "*** ab***ghi"},
		"prefix of other":  {[]string{"abcd", "abcdefgh"}, "abcdefg", "***efg"},
		"repeated":         {[]string{"aaaa"}, "aaaaaaa b aaa", "*** b aaa"},
		"whole lines":      {[]string{pem}, pem, "***\r\n"},
		"each line":        {[]string{pem}, "1 -----BEGIN KEY-----\n2 MIIEowIBAAKCAQEA\n3 abc\n4 q83vEjRWeJC", "1 -----BEGIN KEY-----\n2 ***\n3 abc\n4 ***"},
		"query":            {[]string{"p@ss w/rd+"}, "?k=" + url.QueryEscape("p@ss w/rd+") + "&", "?k=***&"},
		"path":             {[]string{"p@ss w/rd+"}, "/" + url.PathEscape("p@ss w/rd+") + "/", "/***/"},
		"lower escapes":    {[]string{"p@ss w/rd+"}, "p%40ss+w%2frd%2b", "***"},
		"json":             {[]string{"p\"ss\n<w>rd"}, `{"k":"p\"ss\n<w>rd","l":"p\"ss\n\u003cw\u003erd"}`, `{"k":"***","l":"***"}`},
		"unicode":          {[]string{"pässwörd"}, "→pässwörd←", "→***←"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := NewRedactor(tt.values...).String(tt.in); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// Whatever stands before and behind a secret, base64 of the whole shows none
// of its characters that come from the secret alone.
func TestRedactorBase64(t *testing.T) {
	const value = "p\xffs\xfesw0rd?>~~42"
	r := NewRedactor(value)
	for _, enc := range []struct {
		name string
		*base64.Encoding
	}{
		{"std", base64.StdEncoding}, {"raw std", base64.RawStdEncoding},
		{"url", base64.URLEncoding}, {"raw url", base64.RawURLEncoding},
	} {
		for before := range 7 {
			for behind := range 4 {
				plain := strings.Repeat("u", before) + value + strings.Repeat("z", behind)
				text := enc.EncodeToString([]byte(plain))
				got := r.String(text)
				kept := (before*8+5)/6 + 1 + (behind*8+5)/6 + 1 + 2 // what the neighbours have a part in, and padding
				if !strings.Contains(got, Mask) || len(got)-len(Mask) > kept {
					t.Errorf("%s, %d before, %d behind: %s became %s", enc.name, before, behind, text, got)
				}
				if behind == 0 && !strings.HasSuffix(got, Mask) {
					t.Errorf("%s at the end: %s became %s", enc.name, text, got)
				}
			}
		}
	}
}

func TestRedactorBase64InLines(t *testing.T) {
	value := strings.Repeat("0123456789 quick brown fox;", 20)
	text := base64.StdEncoding.EncodeToString([]byte(value + "\n"))
	for _, width := range []int{64, 76} {
		var b strings.Builder
		for i := 0; i < len(text); i += width {
			fmt.Fprintln(&b, text[i:min(i+width, len(text))])
		}
		got := NewRedactor(value).String(b.String())
		for line := range strings.Lines(got) {
			// Of the last line up to two groups hold the line break.
			if rest := strings.ReplaceAll(strings.TrimSpace(line), Mask, ""); len(rest) > 6 {
				t.Errorf("width %d shows %q in\n%s", width, rest, got)
			}
		}
	}
}

// The automaton against the plain definition: every byte of every occurrence
// of every form is hidden, and runs of hidden bytes become one mask.
func redactPlainly(values []string, text string) string {
	hidden := make([]bool, len(text))
	for _, v := range values {
		for _, form := range forms(v) {
			for i := 0; i+len(form) <= len(text); i++ {
				if text[i:i+len(form)] == form {
					for k := range len(form) {
						hidden[i+k] = true
					}
				}
			}
		}
	}
	var b strings.Builder
	for i := range hidden {
		switch {
		case !hidden[i]:
			b.WriteByte(text[i])
		case i == 0 || !hidden[i-1]:
			b.WriteString(Mask)
		}
	}
	return b.String()
}

// write sends text in pieces whose lengths are the bytes of cuts, in turn.
func write(t *testing.T, r *Redactor, text string, cuts []byte) string {
	t.Helper()
	var b bytes.Buffer
	w := r.Writer(&b)
	for i := 0; len(text) > 0; i++ {
		n := len(text)
		if len(cuts) > 0 {
			n = min(n, int(cuts[i%len(cuts)])+1)
		}
		if m, err := io.WriteString(w, text[:n]); m != n || err != nil {
			t.Fatalf("Write = %d, %v", m, err)
		}
		text = text[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func FuzzRedactorChunks(f *testing.F) {
	f.Add("s3cret\nline two", "t0ken", "a s3cret t0ken czNjcmV0 line two s3cr", []byte{0})
	f.Add("abcdef", "defghi", "abcdefghi abcde", []byte{2, 0, 5})
	f.Add("aaaa", "aaaaaaaa", "aaaaaaaaaaaaaaaaaabaaa", []byte{1, 3})
	f.Add("abab", "babb", "abababbabab", []byte{0, 1, 2})
	f.Fuzz(func(t *testing.T, one, two, text string, cuts []byte) {
		if len(one)+len(two) > 200 || len(text) > 2000 {
			return
		}
		r := NewRedactor(one, two)
		want := redactPlainly([]string{one, two}, text)
		if got := r.String(text); got != want {
			t.Fatalf("whole: %q\nwant %q", got, want)
		}
		if got := write(t, r, text, cuts); got != want {
			t.Fatalf("in pieces %v: %q\nwant %q", cuts, got, want)
		}
		// Text made of the secrets themselves, where the traps are.
		dense := one + two[:len(two)/2] + two + one[len(one)/3:] + two
		if got, want := write(t, r, dense, cuts), redactPlainly([]string{one, two}, dense); got != want {
			t.Fatalf("dense in pieces %v: %q\nwant %q", cuts, got, want)
		}
	})
}

func TestWriterEverySplit(t *testing.T) {
	values := []string{"s3cret-one", "one-two", "line a\nline b\nline c"}
	text := "x s3cret-one-two y line a\nline b\nline c z s3cret-on"
	r := NewRedactor(values...)
	want := "x *** y *** z s3cret-on"
	for i := range len(text) {
		for k := i; k < len(text); k++ {
			var b strings.Builder
			w := r.Writer(&b)
			for _, p := range []string{text[:i], text[i:k], text[k:]} {
				_, _ = io.WriteString(w, p)
			}
			_ = w.Close()
			if b.String() != want {
				t.Fatalf("cut at %d and %d: %q\nwant %q", i, k, b.String(), want)
			}
		}
	}
}

// A log must be live: only what may begin a secret waits.
func TestWriterHoldsBackLittle(t *testing.T) {
	var b strings.Builder
	w := NewRedactor("s3cret-value").Writer(&b)
	for _, step := range []struct{ in, out string }{
		{"hello\n", "hello\n"},
		{"a s3cret", "hello\na "},
		{" b", "hello\na s3cret b"},
		{" s3cret-valu", "hello\na s3cret b "},
		{"e", "hello\na s3cret b ***"},
		{"s", "hello\na s3cret b ***"},
	} {
		_, _ = io.WriteString(w, step.in)
		if b.String() != step.out {
			t.Fatalf("after %q: %q, want %q", step.in, b.String(), step.out)
		}
	}
	_ = w.Close()
	b.Reset()
	lines := NewRedactor("\n  first line\nsecond\n").Writer(&b)
	_, _ = io.WriteString(lines, "hello\n")
	if b.String() != "hello\n" {
		t.Errorf("a value that begins with a line break holds back %q", "hello\n")
	}
}

func TestWriterCloseFlushes(t *testing.T) {
	var b strings.Builder
	w := NewRedactor("s3cret-value").Writer(&b)
	_, _ = io.WriteString(w, "hello\na s3cret b s3cret-values")
	_ = w.Close()
	if want := "hello\na s3cret b ***s"; b.String() != want {
		t.Errorf("at the end %q, want %q", b.String(), want)
	}
}

func TestWriterMemoryIsBounded(t *testing.T) {
	secret := strings.Repeat("0123456789abcdef", 64)
	w := NewRedactor(secret).Writer(io.Discard).(*writer)
	text := []byte(strings.Repeat(secret+secret[:700]+"\n", 2000))
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if limit := 4 * (piece + 2*len(secret)); cap(w.held) > limit || cap(w.out) > limit {
		t.Errorf("%d and %d bytes held for a write of %d", cap(w.held), cap(w.out), len(text))
	}
}

type brokenWriter struct{ err error }

func (b brokenWriter) Write([]byte) (int, error) { return 0, b.err }

func TestWriterKeepsTheError(t *testing.T) {
	for _, r := range []*Redactor{NewRedactor("s3cret"), NewRedactor()} {
		w := r.Writer(brokenWriter{os.ErrClosed})
		if _, err := io.WriteString(w, "text"); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Write: %v", err)
		}
	}
}

func TestLargeSecret(t *testing.T) {
	value := strings.Repeat("The quick brown fox. ", MaxValue/21)
	r := NewRedactor(value)
	data, err := json.Marshal(map[string]string{"k": value})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.String(string(data)); got != `{"k":"***"}` && got != `{"k":"*** "}` {
		t.Errorf("got %.80q", got)
	}
}

func BenchmarkWriter(b *testing.B) {
	var values []string
	for range 20 {
		token, _ := GenerateToken()
		values = append(values, token)
	}
	r := NewRedactor(values...)
	line := []byte("#12 [build 4/7] RUN go build -trimpath -o /out/app ./cmd/app && rb_nothing 0.312s\n")
	b.SetBytes(int64(len(line)))
	w := r.Writer(io.Discard)
	for b.Loop() {
		_, _ = w.Write(line)
	}
}
